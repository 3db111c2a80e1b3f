"""Where Kafka is, and what it is called here when it is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ssl import SSLContext
from typing import Any

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from pydantic import SecretStr

from gallery.runtime.errors import TransientError

REQUEST_TIMEOUT = timedelta(seconds=20)
"""For a request that a broker answers at once."""

GRACE = timedelta(seconds=10)
"""For a client that is told to end while it opens or closes; cut off in between, it forgets its sockets."""


class KafkaAwayError(TransientError):
    """A broker does not answer, answers with an error, or has given our place to another."""


@dataclass(frozen=True, slots=True)
class KafkaLogin:
    """Who we are there.

    Attributes:
        mechanism: As SASL calls it, such as ``SCRAM-SHA-512``.
    """

    mechanism: str
    user: str
    password: SecretStr


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """Where Kafka is.

    Attributes:
        servers: ``host:port,host:port`` of some brokers; they tell of the rest.
        prefix: Put before the names of topics, groups and transactional ids, so that several galleries can share a
            cluster.
        tls: What certificates are held against; without it nothing is encrypted.
        login: Without it we are nobody.
    """

    servers: str
    prefix: str = ""
    tls: SSLContext | None = None
    login: KafkaLogin | None = None

    @property
    def address(self) -> dict[str, Any]:
        """What every client of aiokafka has to be told to reach it."""
        address: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": ("SASL_" if self.login else "") + ("SSL" if self.tls else "PLAINTEXT"),
            "ssl_context": self.tls,
        }
        if self.login is not None:
            address |= {
                "sasl_mechanism": self.login.mechanism,
                "sasl_plain_username": self.login.user,
                "sasl_plain_password": self.login.password.get_secret_value(),
            }
        return address

    def called(self, name: str) -> str:
        """Return the name that something of ours has there."""
        return f"{self.prefix}{name}"

    def original(self, called: str) -> str:
        """Return the name that it has here."""
        return called.removeprefix(self.prefix)


def milliseconds(duration: timedelta) -> int:
    """Say a duration as the client wants it."""
    return round(duration / timedelta(milliseconds=1))


@contextmanager
def reaching() -> Iterator[None]:
    """Call everything that a client of Kafka complains of by one name; waiting mends it, or somebody does meanwhile.

    Raises:
        KafkaAwayError: In place of any error of the client.
    """
    try:
        yield
    except UnknownTopicOrPartitionError as error:
        raise KafkaAwayError("a topic is missing in Kafka: apply the catalogue of topics") from error
    except KafkaError as error:
        raise KafkaAwayError(f"Kafka: {error!r}") from error
