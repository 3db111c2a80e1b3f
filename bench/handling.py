"""A process that hears of changed photos and notes each once, for bench/events.py: ``handling.py URL SERVERS``.

A key that begins with ``bug`` meets an error that nobody has named.
"""

import asyncio
import sys

from gallery.adapters.kafka_bus import KafkaBus
from gallery.adapters.kafka_cluster import KafkaCluster
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.runtime import partitions
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer
from gallery.runtime.database import Database
from gallery.runtime.delivery import Batch
from gallery.runtime.migrations import migrate
from gallery.runtime.together import Together

SCHEMA = "handling"
EFFECTS = """
    CREATE TABLE IF NOT EXISTS effects (
        n bigint GENERATED ALWAYS AS IDENTITY, key text, revision bigint,
        said timestamptz, at timestamptz DEFAULT clock_timestamp()
    )
"""
NOTE = """
    INSERT INTO effects (key, revision, said)
    SELECT * FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[])
"""


async def handle(batch: Batch) -> None:
    """Note that they were heard."""
    async with batch.transaction() as (tx, new):
        keys = [each.body.photo_id for each in new]
        messages = [each.message for each in new]
        await tx.execute(NOTE, [keys, [each.revision for each in messages], [each.at for each in messages]])
        if any(key.startswith("bug") for key in keys):
            raise ValueError("a bug")


async def main(url: str, servers: str) -> None:
    """Consume until killed."""
    await migrate(url, schema=SCHEMA, packages=[])
    async with Database.open(url, schema=SCHEMA) as database:
        await partitions.renew(database)
        async with database.transaction() as tx:
            await tx.execute(EFFECTS)
        consumer = Consumer(
            name="bench",
            bus=KafkaBus(KafkaCluster(servers)),
            database=database,
            topics=[Topic.CATALOGUE],
            handlers={PhotoChanged: Together(handle)},
        )
        async with background(consumer=consumer.run()):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
