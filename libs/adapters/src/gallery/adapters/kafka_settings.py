"""What can be set for Kafka."""

from typing import TYPE_CHECKING

from pydantic import Field

from gallery.runtime.settings import Settings

if TYPE_CHECKING:
    from gallery.adapters.kafka_cluster import KafkaCluster


class KafkaSettings(Settings):
    """Where Kafka is."""

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

    @property
    def cluster(self) -> "KafkaCluster":
        """As the adapters take it."""
        from gallery.adapters.kafka_cluster import KafkaCluster

        return KafkaCluster(self.kafka_servers, self.kafka_prefix)
