"""A process that consumes, to be killed and put to sleep: ``python -m support.kafka_member NAME URL SERVERS PREFIX``"""

import asyncio
import sys
from datetime import timedelta

from gallery.adapters.kafka_bus import KafkaBus
from gallery.adapters.kafka_cluster import KafkaCluster
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer, Delivery
from gallery.runtime.database import Database
from gallery.runtime.retry import RetryPolicy

SESSION = timedelta(seconds=2)
QUICK = RetryPolicy(first_pause=timedelta(milliseconds=10), longest_pause=timedelta(milliseconds=200))
EFFECTS = "CREATE TABLE effects (n bigint GENERATED ALWAYS AS IDENTITY, photo text, revision bigint, member text)"
WORK = timedelta(milliseconds=5)
"""A handler takes a moment, so that something is always on its way."""


def member(name: str, database: Database, cluster: KafkaCluster) -> Consumer:
    """Return a consumer that writes down what it handled."""

    async def handle(delivery: Delivery, fact: PhotoChanged) -> None:
        async with delivery.transaction() as tx:
            await asyncio.sleep(WORK.total_seconds())
            await tx.execute(
                "INSERT INTO effects (photo, revision, member) VALUES (%s, %s, %s)",
                [fact.photo_id, delivery.message.revision, name],
            )

    return Consumer(
        name="members",
        bus=KafkaBus(cluster, session=SESSION),
        database=database,
        topics=[Topic.CATALOGUE],
        handlers={PhotoChanged: handle},
        policy=QUICK,
    )


async def _consume(name: str, url: str, cluster: KafkaCluster) -> None:
    async with (
        Database.open(url, schema="metadata") as database,
        background(consumer=member(name, database, cluster).run()),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    name, url, servers, prefix = sys.argv[1:]
    asyncio.run(_consume(name, url, KafkaCluster(servers, prefix)))
