"""Facts come out without gaps and, for each key, in the order of commits."""

import asyncio
import os
import random
from collections import defaultdict
from datetime import timedelta
from uuid import UUID

import pytest

from gallery.adapters.postgres_bus import PostgresBus
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.ports.bus import Message
from gallery.runtime import partitions
from gallery.runtime.database import Database, Transaction
from gallery.runtime.ids import uuid7
from gallery.runtime.migrations import migrate
from gallery.runtime.outbox import Fact, KeyNotLockedError, append

EVENTS = int(os.environ.get("GALLERY_TEST_OUTBOX_EVENTS", "4000"))
WRITERS = 8
KEYS = [f"photo-{number}" for number in range(12)]
LIBRARY = UUID(int=1)


def changed(key: str, revision: int) -> Fact:
    return Fact(topic=Topic.CATALOGUE, key=key, library_id=LIBRARY, revision=revision, body=PhotoChanged(photo_id=key))


async def next_revision(tx: Transaction, key: str) -> int:
    cursor = await tx.execute(
        "INSERT INTO counters VALUES (%s, 1) ON CONFLICT (key) DO UPDATE SET n = counters.n + 1 RETURNING n", [key]
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["n"])


async def write(database: Database, writer: int, *, locked: bool) -> None:
    pick = random.Random(writer)
    for _ in range(EVENTS // WRITERS):
        key = pick.choice(KEYS)
        async with database.transaction(keys=[key] if locked else []) as tx:
            # Transactions write other things first, so ids are given out before anybody waits for the row of the key.
            await tx.execute("SELECT pg_current_xact_id()")
            allowed = Transaction(tx.connection, frozenset([key]), tx.opening)
            await append(allowed, changed(key, await next_revision(tx, key)))


async def read(bus: PostgresBus, wanted: int) -> list[Message]:
    found: list[Message] = []
    async with bus.subscribe("reader", [Topic.CATALOGUE]) as subscription:
        while len(found) < wanted:
            messages = await subscription.poll(limit=500, timeout=timedelta(seconds=10))
            assert messages, f"a gap: {len(found)} of {wanted} came out"
            await subscription.commit(messages)
            found.extend(messages)
    return found


def inversions(messages: list[Message]) -> int:
    last: dict[str, int] = defaultdict(int)
    count = 0
    for message in messages:
        count += message.revision < last[message.key]
        last[message.key] = max(last[message.key], message.revision)
    return count


async def write_and_read(url: str, *, locked: bool) -> list[Message]:
    await migrate(url, schema="metadata", packages=[])
    async with (
        Database.open(url, schema="metadata", size=WRITERS) as database,
        PostgresBus.open(url, home="metadata", producers={Topic.CATALOGUE: "metadata"}) as bus,
    ):
        await partitions.renew(database)
        async with database.transaction() as tx:
            await tx.execute("CREATE TABLE counters (key text PRIMARY KEY, n bigint NOT NULL)")
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(read(bus, EVENTS))
            for writer in range(WRITERS):
                group.create_task(write(database, writer, locked=locked))
        return reader.result()


async def test_no_gap_and_no_inversion_under_eight_writers(database_url: str) -> None:
    messages = await write_and_read(database_url, locked=True)
    assert len({message.id for message in messages}) == EVENTS
    assert inversions(messages) == 0


async def test_without_the_lock_the_same_run_comes_out_inverted(database_url: str) -> None:
    assert inversions(await write_and_read(database_url, locked=False)) > 0


async def test_a_key_that_is_not_locked_is_refused(database_url: str) -> None:
    await migrate(database_url, schema="metadata", packages=[])
    async with Database.open(database_url, schema="metadata") as database:
        await partitions.renew(database)
        with pytest.raises(KeyNotLockedError):
            async with database.transaction(keys=["photo-1"]) as tx:
                await append(tx, changed("photo-2", 1))


async def test_what_was_not_committed_comes_again(database_url: str) -> None:
    await migrate(database_url, schema="metadata", packages=[])
    async with (
        Database.open(database_url, schema="metadata") as database,
        PostgresBus.open(database_url, home="metadata", producers={Topic.CATALOGUE: "metadata"}) as bus,
    ):
        await partitions.renew(database)
        for revision in range(1, 4):
            async with database.transaction(keys=["photo-1"]) as tx:
                await append(tx, changed("photo-1", revision))
        short = timedelta(seconds=5)
        async with bus.subscribe("reader", [Topic.CATALOGUE]) as subscription:
            first = await subscription.poll(limit=10, timeout=short)
            await subscription.commit([first[0], first[2]])
        async with bus.subscribe("reader", [Topic.CATALOGUE]) as subscription:
            again = await subscription.poll(limit=10, timeout=short)
    assert [message.revision for message in first] == [1, 2, 3]
    assert [message.revision for message in again] == [2, 3]
    assert uuid7() > first[0].id


async def test_nothing_is_read_past_a_transaction_that_still_runs(database_url: str) -> None:
    await migrate(database_url, schema="metadata", packages=[])
    async with (
        Database.open(database_url, schema="metadata") as database,
        PostgresBus.open(database_url, home="metadata", producers={Topic.CATALOGUE: "metadata"}) as bus,
        bus.subscribe("reader", [Topic.CATALOGUE]) as subscription,
    ):
        await partitions.renew(database)
        async with database.transaction(keys=["slow"]) as slow:
            await append(slow, changed("slow", 1))
            async with database.transaction(keys=["quick"]) as quick:
                await append(quick, changed("quick", 1))
            early = await subscription.poll(limit=10, timeout=timedelta(milliseconds=100))
        late = await subscription.poll(limit=10, timeout=timedelta(seconds=5))
    assert [message.key for message in [*early, *late]] == ["slow", "quick"]
