"""Faults of one key, and of the database itself, reach nobody else."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from support.messages import photo_changed
from support.waiting import expect_soon

from gallery.adapters.memory_bus import MemoryBus
from gallery.adapters.postgres_bus import PostgresBus
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.ports.bus import Bus, Message
from gallery.runtime import dead_letters, partitions
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer, Delivery, Handler
from gallery.runtime.database import Database
from gallery.runtime.errors import TransientError
from gallery.runtime.migrations import migrate
from gallery.runtime.outbox import Fact, append
from gallery.runtime.retry import RetryPolicy

NEVER = timedelta(hours=1)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, schema="metadata", packages=[])
    async with Database.open(database_url, schema="metadata") as opened:
        await partitions.renew(opened)
        yield opened


@asynccontextmanager
async def consuming(database: Database, bus: Bus, handler: Handler, policy: RetryPolicy) -> AsyncIterator[Consumer]:
    consumer = Consumer(
        name="test",
        bus=bus,
        database=database,
        topics=[Topic.CATALOGUE, Topic.UPLOADS],
        handlers={PhotoChanged: handler},
        policy=policy,
    )
    async with background(consumer=consumer.run()):
        yield consumer


async def published(*messages: Message) -> MemoryBus:
    bus = MemoryBus(shuffle=random.Random(3))
    await bus.publish(messages)
    return bus


async def letters(database: Database) -> list[tuple[str, int, str]]:
    return [(row["key"], row["revision"], row["state"]) for row in await dead_letters.listing(database)]


async def test_keys_that_wait_for_their_next_attempt_hold_up_nobody(database: Database) -> None:
    done: list[str] = []

    async def handle(_: Delivery, fact: PhotoChanged) -> None:
        if fact.photo_id.startswith("away"):
            raise TransientError("away")
        done.append(fact.photo_id)

    bus = await published(
        *(photo_changed(f"away-{number}", 1) for number in range(12)), *(photo_changed("here", 1) for _ in range(3))
    )
    async with consuming(database, bus, handle, RetryPolicy(first_pause=NEVER, longest_pause=NEVER)):

        async def all_done() -> bool:
            return done == ["here"] * 3

        await expect_soon(all_done)


async def test_want_of_room_is_no_messages_fault_however_often_it_is_met(database: Database) -> None:
    attempts = 0

    async def handle(_: Delivery, __: PhotoChanged) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 30:
            raise psycopg.errors.DiskFull("no space left on device")

    async def handled() -> bool:
        return attempts == 30

    at_once = RetryPolicy(transient_attempts=2, first_pause=timedelta(0))
    async with consuming(database, await published(photo_changed("a", 1)), handle, at_once):
        await expect_soon(handled)
    assert await letters(database) == []


def test_pauses_stay_short_however_long_something_is_away() -> None:
    assert RetryPolicy().pause(10**6) == RetryPolicy().longest_pause


async def test_four_keys_at_once_and_one_message_of_a_key(database: Database) -> None:
    running: defaultdict[str, int] = defaultdict(int)
    most, seen = 0, 0

    async def handle(_: Delivery, fact: PhotoChanged) -> None:
        nonlocal most, seen
        running[fact.photo_id] += 1
        assert running[fact.photo_id] == 1
        most = max(most, sum(running.values()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running[fact.photo_id] -= 1
        seen += 1

    bus = await published(*(photo_changed(f"photo-{number % 7}", number) for number in range(140)))
    async with consuming(database, bus, handle, RetryPolicy()):

        async def all_seen() -> bool:
            return seen == 140

        await expect_soon(all_seen)
    assert most == 4


async def test_order_holds_whatever_fails_in_between(database: Database) -> None:
    chance, seen = random.Random(5), defaultdict[str, list[int]](list)

    async def handle(delivery: Delivery, _: PhotoChanged) -> None:
        if chance.random() < 0.2:
            raise TransientError("away for a moment")
        seen[delivery.message.key].append(delivery.message.revision)

    bus = await published(*(photo_changed(f"photo-{n % 9}", 1 + n // 9) for n in range(180)))
    quick = RetryPolicy(transient_attempts=100, first_pause=timedelta(0), longest_pause=timedelta(0))
    async with consuming(database, bus, handle, quick):

        async def all_seen() -> bool:
            return sum(map(len, seen.values())) == 180

        await expect_soon(all_seen)
    assert all(revisions == list(range(1, 21)) for revisions in seen.values())


async def test_a_replay_that_fails_again_rests_with_what_follows(database: Database) -> None:
    mended, handled = False, list[int]()

    async def handle(delivery: Delivery, _: PhotoChanged) -> None:
        if not mended:
            raise ValueError("a bug")
        async with delivery.transaction():
            handled.append(delivery.message.revision)

    bus = await published(photo_changed("a", 1), photo_changed("a", 2))
    resting = [("a", 1, "parked"), ("a", 2, "parked")]
    async with consuming(database, bus, handle, RetryPolicy(unknown_attempts=1)):

        async def parked() -> bool:
            return await letters(database) == resting

        await expect_soon(parked)
        first = (await dead_letters.listing(database))[0]
        assert await dead_letters.replay(database, first["id"]) == 2
        await expect_soon(parked)
        mended = True
        assert await dead_letters.replay(database, first["id"]) == 2
        await bus.publish([photo_changed("a", 3)])  # joins, while its key is being replayed

        async def replayed() -> bool:
            return handled == [1, 2, 3] and await letters(database) == []

        await expect_soon(replayed)


async def test_an_event_older_than_the_inbox_s_days_is_handled(database: Database) -> None:
    handled: list[int] = []

    async def handle(delivery: Delivery, _: PhotoChanged) -> None:
        async with delivery.transaction():
            handled.append(delivery.message.revision)

    old = replace(photo_changed("a", 1), at=datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC))
    async with consuming(database, await published(old), handle, RetryPolicy(first_pause=timedelta(0))):

        async def done() -> bool:
            return handled == [1]

        await expect_soon(done)


@pytest.mark.parametrize(
    "wrong",
    [
        {"topic": Topic.UPLOADS},  # the type belongs elsewhere
        {"data": b"\x10\x05"},  # another type's fields, which protobuf alone accepts as unknown ones
    ],
)
async def test_a_payload_under_a_wrong_name_is_dead_at_once(database: Database, wrong: dict[str, Any]) -> None:
    async def handle(_: Delivery, __: PhotoChanged) -> None:
        pytest.fail("handled")

    async with consuming(database, await published(replace(photo_changed("a", 1), **wrong)), handle, RetryPolicy()):

        async def dead() -> bool:
            return await letters(database) == [("a", 1, "dead")]

        await expect_soon(dead)


async def test_a_lost_database_delays_and_condemns_nothing(database: Database, database_url: str) -> None:
    handled: list[int] = []

    async def handle(delivery: Delivery, _: PhotoChanged) -> None:
        async with delivery.transaction():
            pass
        handled.append(delivery.message.revision)

    async def say(revision: int) -> None:
        async with database.transaction(keys=["a"]) as tx:
            body = PhotoChanged(photo_id="a")
            library = photo_changed("a", 1).library_id
            await append(tx, Fact(topic=Topic.CATALOGUE, key="a", library_id=library, revision=revision, body=body))

    async with (
        PostgresBus.open(database_url, home="metadata", producers=dict.fromkeys(Topic, "metadata")) as bus,
        consuming(database, bus, handle, RetryPolicy(first_pause=timedelta(milliseconds=5))),
    ):
        for revision in (1, 2, 3):
            await say(revision)

            async def arrived(wanted: int = revision) -> bool:
                return handled == list(range(1, wanted + 1))

            await expect_soon(arrived)
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
    assert await letters(database) == []
