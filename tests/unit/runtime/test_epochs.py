"""A restored copy begins a new epoch, and readers pass from one to the next without a gap."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from support.messages import LIBRARY

from gallery.adapters.postgres_bus import PostgresBus
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.runtime import partitions
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.runtime.outbox import Fact, append, begin_epoch_after_restore


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, schema="metadata", packages=[])
    async with Database.open(database_url, schema="metadata") as opened:
        await partitions.renew(opened)
        yield opened


async def say(database: Database, revision: int) -> None:
    async with database.transaction(keys=["a"]) as tx:
        body = PhotoChanged(photo_id="a")
        await append(tx, Fact(topic=Topic.CATALOGUE, key="a", library_id=LIBRARY, revision=revision, body=body))


async def change(database: Database, statement: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(statement)


async def epochs(database: Database) -> int:
    async with database.read() as connection:
        return len(await (await connection.execute("SELECT epoch FROM epochs")).fetchall())


async def test_the_same_cluster_keeps_its_epoch(database: Database) -> None:
    await say(database, 1)
    await begin_epoch_after_restore(database)
    assert await epochs(database) == 1


@pytest.mark.parametrize(
    "restored",
    [
        "UPDATE epochs SET system_identifier = system_identifier - 1",  # a dump, loaded into another cluster
        "UPDATE outbox SET xid = '99999999999'",  # ids that this cluster has not come to
    ],
)
async def test_a_restored_copy_is_read_on_without_a_gap(database: Database, database_url: str, restored: str) -> None:
    await say(database, 1)
    await say(database, 2)
    await change(database, restored)
    await begin_epoch_after_restore(database)
    await begin_epoch_after_restore(database)
    assert await epochs(database) == 2
    await say(database, 3)
    producers = {Topic.CATALOGUE: "metadata"}
    async with (
        PostgresBus.open(database_url, home="metadata", producers=producers) as bus,
        bus.subscribe("reader", [Topic.CATALOGUE]) as subscription,
    ):
        messages = await subscription.poll(limit=10, timeout=timedelta(seconds=5))
    assert [message.revision for message in messages] == [1, 2, 3]
