"""Messages that share a transaction: as safe as each alone, and the fault of one is nobody else's."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest_asyncio
from support.measured import Growth
from support.messages import photo_changed
from support.waiting import expect_soon

from gallery.adapters.memory_bus import MemoryBus
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.ports.bus import Message
from gallery.runtime import dead_letters, partitions
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer
from gallery.runtime.database import Database
from gallery.runtime.delivery import Batch
from gallery.runtime.errors import PermanentError, TransientError
from gallery.runtime.migrations import migrate
from gallery.runtime.retry import RetryPolicy
from gallery.runtime.together import Together

QUICK = RetryPolicy(first_pause=timedelta(milliseconds=1), longest_pause=timedelta(milliseconds=2))
NOTE = "INSERT INTO effects SELECT * FROM unnest(%s::text[], %s::int[])"


@dataclass
class Effects:
    """A handler of batches that writes what it handled, and fails as it is told."""

    database: Database
    failing: dict[str, Exception] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    chance: random.Random | None = None

    async def handle(self, batch: Batch) -> None:
        async with batch.transaction() as (tx, new):
            keys = [each.body.photo_id for each in new]
            await tx.execute(NOTE, [keys, [each.message.revision for each in new]])
            if self.hanging.intersection(keys):
                await asyncio.Event().wait()
            for key in keys:
                if key in self.failing:
                    raise self.failing[key]
            if self.chance and self.chance.random() < 0.3:
                raise TransientError("away for a moment")

    @asynccontextmanager
    async def consuming(self, *messages: Message, policy: RetryPolicy = QUICK) -> AsyncIterator[MemoryBus]:
        bus = MemoryBus(shuffle=random.Random(4))
        await bus.publish(messages)
        consumer = Consumer(
            name="together",
            bus=bus,
            database=self.database,
            topics=[Topic.CATALOGUE],
            handlers={PhotoChanged: Together(self.handle)},
            policy=policy,
        )
        async with background(consumer=consumer.run()):
            yield bus

    async def rows(self) -> list[tuple[str, int, str]]:
        """What was handled, in its order, each with its transaction."""
        async with self.database.read() as connection:
            cursor = await connection.execute("SELECT photo, revision, xid::text FROM effects ORDER BY n")
            return [(row["photo"], row["revision"], row["xid"]) for row in await cursor.fetchall()]

    async def expect(self, effects: Sequence[tuple[str, int]]) -> None:
        """Wait for these effects, in whatever order of keys, and no others."""

        async def reached() -> bool:
            return Counter((photo, revision) for photo, revision, _ in await self.rows()) == Counter(effects)

        await expect_soon(reached)

    async def expect_letters(self, letters: Sequence[tuple[str, str]]) -> None:
        async def reached() -> bool:
            found = await dead_letters.listing(self.database)
            return [(letter["key"], letter["state"]) for letter in found] == list(letters)

        await expect_soon(reached)


@pytest_asyncio.fixture
async def effects(database_url: str) -> AsyncIterator[Effects]:
    await migrate(database_url, schema="metadata", packages=[])
    async with Database.open(database_url, schema="metadata") as database:
        await partitions.renew(database)
        async with database.transaction() as tx:
            await tx.execute(
                "CREATE TABLE effects (photo text, revision int, n bigint GENERATED ALWAYS AS IDENTITY,"
                " xid xid8 DEFAULT pg_current_xact_id())"
            )
        yield Effects(database)


def first_of(*keys: str) -> list[Message]:
    return [photo_changed(key, 1) for key in keys]


async def test_keys_that_come_together_share_a_transaction(effects: Effects) -> None:
    keys = [f"photo-{number}" for number in range(40)]
    async with effects.consuming(*first_of(*keys)):
        await effects.expect([(key, 1) for key in keys])
    assert len({xid for _, _, xid in await effects.rows()}) < 5


async def test_what_was_handled_before_has_no_effect_again_and_keeps_no_other_back(effects: Effects) -> None:
    old = first_of("a", "b")
    async with effects.consuming(*old):
        await effects.expect([("a", 1), ("b", 1)])
    async with Growth() as growth, effects.consuming(old[0], *first_of("c"), old[1]):
        await effects.expect([("a", 1), ("b", 1), ("c", 1)])

        async def counted() -> bool:
            told = [
                await growth.of("gallery_consumer_messages_total", subscription="together", outcome=outcome)
                for outcome in ("handled", "repeated")
            ]
            return told == [1, 2]

        await expect_soon(counted)


async def test_one_that_can_never_be_handled_is_dead_alone(effects: Effects) -> None:
    effects.failing["bad"] = PermanentError("never")
    async with effects.consuming(*first_of("a", "bad", "b")):
        await effects.expect([("a", 1), ("b", 1)])
        await effects.expect_letters([("bad", "dead")])


async def test_an_unknown_error_parks_its_key_and_no_other(effects: Effects) -> None:
    effects.failing["bad"] = ValueError("a bug")
    async with effects.consuming(*first_of("a", "bad", "b"), photo_changed("bad", 2)):
        await effects.expect([("a", 1), ("b", 1)])
        await effects.expect_letters([("bad", "parked"), ("bad", "parked")])


async def test_one_that_hangs_delays_the_others_for_one_attempt(effects: Effects) -> None:
    effects.hanging.add("stuck")
    impatient = replace(QUICK, transient_attempts=3, longest_attempt=timedelta(milliseconds=200))
    async with effects.consuming(*first_of("a", "stuck", "b"), policy=impatient):
        await effects.expect([("a", 1), ("b", 1)])
        await effects.expect_letters([("stuck", "parked")])


async def test_order_and_once_hold_whatever_fails_in_between(effects: Effects) -> None:
    effects.chance = random.Random(9)
    messages = [photo_changed(f"photo-{n % 9}", 1 + n // 9) for n in range(180)]
    patient = replace(QUICK, transient_attempts=100)
    async with effects.consuming(*messages, policy=patient):
        await effects.expect([(message.key, message.revision) for message in messages])
    rows = await effects.rows()
    for key in {message.key for message in messages}:
        assert [revision for photo, revision, _ in rows if photo == key] == list(range(1, 21))


async def test_a_lost_database_condemns_nothing(effects: Effects, database_url: str) -> None:
    keys = [f"photo-{number}" for number in range(10)]
    async with effects.consuming() as bus:
        for revision in (1, 2, 3):
            await bus.publish([photo_changed(key, revision) for key in keys])
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        await effects.expect([(key, revision) for key in keys for revision in (1, 2, 3)])
    assert await dead_letters.listing(effects.database) == []


async def test_events_older_than_the_inbox_s_days_are_handled(effects: Effects) -> None:
    old = [replace(each, at=datetime(2020, 2, day, tzinfo=UTC)) for day, each in enumerate(first_of("a", "b"), start=1)]
    async with effects.consuming(*old, *first_of("c")):
        await effects.expect([("a", 1), ("b", 1), ("c", 1)])
