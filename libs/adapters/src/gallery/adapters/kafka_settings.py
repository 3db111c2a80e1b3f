"""What can be set for Kafka."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, SecretStr, model_validator

from gallery.adapters.certificates import trusting
from gallery.runtime.settings import Settings

if TYPE_CHECKING:
    from gallery.adapters.kafka_cluster import KafkaCluster, KafkaLogin


class Mechanism(StrEnum):
    """How brokers are told who we are."""

    NONE = "none"
    PLAIN = "PLAIN"
    SCRAM = "SCRAM-SHA-512"


class KafkaSettings(Settings):
    """Where Kafka is, and who we are there."""

    kafka_servers: str = Field(
        default="kafka:9092",
        title="Kafka",
        description="host:port of some brokers, separated by commas; they tell of the rest.",
    )
    kafka_prefix: str = Field(
        default="",
        title="Prefix in Kafka",
        description="Put before the names of topics and groups, so that several galleries can share a cluster.",
    )
    kafka_member: str | None = Field(
        default=None,
        title="Member",
        description="A name of this process that no other has and that outlives it, such as a pod's of a stateful set; "
        "one that comes back soon keeps its partitions.",
    )
    kafka_tls: bool = Field(
        default=False,
        title="TLS to Kafka",
        description="Whether brokers are spoken to by TLS; their names are checked.",
    )
    kafka_ca: Path | None = Field(
        default=None,
        title="Authorities of Kafka",
        description="File of certificates (PEM) that those of brokers are signed by; without one the system's.",
    )
    kafka_login: Mechanism = Field(
        default=Mechanism.NONE,
        title="Login to Kafka",
        description="By SASL: none, PLAIN or SCRAM-SHA-512. With PLAIN the password is told to the broker: use TLS.",
    )
    kafka_user: str | None = Field(default=None, title="User of Kafka", description="Who logs in.")
    kafka_password: SecretStr | None = Field(default=None, title="Password of Kafka", description="That of the user.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kafka_login is not Mechanism.NONE) != bool(self.kafka_user and self.kafka_password):
            raise ValueError("kafka_login, kafka_user and kafka_password belong together")
        if self.kafka_ca and not self.kafka_tls:
            raise ValueError("kafka_ca is of no use without kafka_tls")
        return self

    @property
    def cluster(self) -> "KafkaCluster":
        """As the adapters take it.

        Raises:
            SettingsError: The file of authorities cannot be read.
        """
        from gallery.adapters.kafka_cluster import KafkaCluster

        tls = trusting(self.kafka_ca, name="kafka_ca") if self.kafka_tls else None
        return KafkaCluster(self.kafka_servers, self.kafka_prefix, tls=tls, login=self._login)

    @property
    def _login(self) -> "KafkaLogin | None":
        from gallery.adapters.kafka_cluster import KafkaLogin

        if self.kafka_user is None or self.kafka_password is None:
            return None
        return KafkaLogin(self.kafka_login.value, self.kafka_user, self.kafka_password)
