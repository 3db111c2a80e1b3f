"""Where Kafka is, and what it is called here when it is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from gallery.runtime.errors import TransientError

REQUEST_TIMEOUT = timedelta(seconds=20)
"""For a request that a broker answers at once."""

GRACE = timedelta(seconds=10)
"""For a client that is told to end while it opens or closes; cut off in between, it forgets its sockets."""


class KafkaAwayError(TransientError):
    """A broker does not answer, answers with an error, or has given our place to another."""


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """Where Kafka is.

    Attributes:
        servers: ``host:port,host:port`` of some brokers; they tell of the rest.
        prefix: Put before the names of topics, groups and transactional ids, so that several galleries can share a
            cluster.
    """

    servers: str
    prefix: str = ""

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
