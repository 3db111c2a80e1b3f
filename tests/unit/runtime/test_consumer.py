"""Nothing is handled twice, nothing is lost, and what cannot be handled says why."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from support.messages import photo_changed
from support.waiting import expect_soon

from gallery.adapters.memory_bus import MemoryBus
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.ports.bus import Message
from gallery.runtime import dead_letters, partitions
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer, ConsumerStoppedError, Delivery
from gallery.runtime.database import Database
from gallery.runtime.errors import PermanentError, TransientError
from gallery.runtime.migrations import migrate
from gallery.runtime.retry import RetryPolicy

QUICK = RetryPolicy(first_pause=timedelta(milliseconds=1), longest_pause=timedelta(milliseconds=2))


class Effects:
    """A handler that writes what it handled, and fails as it is told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.failures: dict[tuple[str, int], list[Exception]] = {}

    async def handle(self, delivery: Delivery, fact: PhotoChanged) -> None:
        message = delivery.message
        async with delivery.transaction() as tx:
            await tx.execute("INSERT INTO effects VALUES (%s, %s)", [fact.photo_id, message.revision])
            if waiting := self.failures.get((message.key, message.revision)):
                raise waiting.pop(0)

    async def rows(self) -> list[tuple[str, int]]:
        async with self.database.read() as connection:
            cursor = await connection.execute("SELECT photo, revision FROM effects ORDER BY n")
            return [(row["photo"], row["revision"]) for row in await cursor.fetchall()]

    async def letters(self) -> list[dict[str, Any]]:
        return await dead_letters.listing(self.database)


@pytest_asyncio.fixture
async def effects(database_url: str) -> AsyncIterator[Effects]:
    await migrate(database_url, schema="metadata", packages=[])
    async with Database.open(database_url, schema="metadata") as database:
        await partitions.renew(database)
        async with database.transaction() as tx:
            await tx.execute("CREATE TABLE effects (photo text, revision int, n bigint GENERATED ALWAYS AS IDENTITY)")
        yield Effects(database)


@asynccontextmanager
async def consuming(effects: Effects, *messages: Message) -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.publish(messages)
    consumer = Consumer(
        name="test",
        bus=bus,
        database=effects.database,
        topics=[Topic.CATALOGUE],
        handlers={PhotoChanged: effects.handle},
        policy=QUICK,
    )
    async with background(consumer=consumer.run()):
        yield bus


async def expect_rows(effects: Effects, expected: list[tuple[str, int]]) -> None:
    async def reached() -> bool:
        return await effects.rows() == expected

    await expect_soon(reached)


async def expect_letters(effects: Effects, states: list[str]) -> None:
    async def reached() -> bool:
        return [letter["state"] for letter in await effects.letters()] == states

    await expect_soon(reached)


async def test_a_redelivered_event_has_its_effect_once(effects: Effects) -> None:
    message = photo_changed("a", 1)
    async with consuming(effects, message, photo_changed("a", 2)):
        await expect_rows(effects, [("a", 1), ("a", 2)])
    async with consuming(effects, message, photo_changed("a", 3)):
        await expect_rows(effects, [("a", 1), ("a", 2), ("a", 3)])


async def test_a_transient_error_is_tried_again_in_order(effects: Effects) -> None:
    effects.failures["a", 1] = [TransientError("away"), TransientError("away")]
    async with consuming(effects, photo_changed("a", 1), photo_changed("a", 2)):
        await expect_rows(effects, [("a", 1), ("a", 2)])
    assert await effects.letters() == []


async def test_a_permanent_error_goes_to_the_dead_letters_alone(effects: Effects) -> None:
    effects.failures["a", 1] = [PermanentError("never")]
    async with consuming(effects, photo_changed("a", 1), photo_changed("a", 2)):
        await expect_rows(effects, [("a", 2)])
        await expect_letters(effects, ["dead"])
    letter = await dead_letters.show(effects.database, (await effects.letters())[0]["id"])
    assert letter is not None
    assert letter["cause"] == "PermanentError: never"
    assert "in handle" in letter["traceback"]


async def test_an_unknown_error_parks_its_key_and_delays_nobody_else(effects: Effects) -> None:
    effects.failures["a", 1] = [ValueError("a bug")] * 3
    async with consuming(effects, photo_changed("a", 1), photo_changed("a", 2), photo_changed("b", 1)):
        await expect_rows(effects, [("b", 1)])
        await expect_letters(effects, ["parked", "parked"])


async def test_a_parked_message_that_comes_again_keeps_its_cause(effects: Effects) -> None:
    effects.failures["a", 1] = [ValueError("a bug")] * 3
    parked, follower = photo_changed("a", 1), photo_changed("a", 2)
    async with consuming(effects, parked, follower, parked, photo_changed("a", 3)):
        await expect_letters(effects, ["parked"] * 3)
    causes = [letter["cause"] for letter in await effects.letters()]
    assert causes == ["ValueError: a bug"] + ["ParkedBehindError: follows a parked message of its key"] * 2


async def test_a_parked_key_is_replayed_whole_and_in_order(effects: Effects) -> None:
    effects.failures["a", 1] = [ValueError("a bug")] * 3
    async with consuming(effects, photo_changed("a", 1), photo_changed("a", 2)) as bus:
        await expect_letters(effects, ["parked", "parked"])
        first = (await effects.letters())[0]["id"]
        assert await dead_letters.replay(effects.database, first) == 2
        await expect_letters(effects, [])
        await bus.publish([photo_changed("a", 3)])
        await expect_rows(effects, [("a", 1), ("a", 2), ("a", 3)])


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff"])
async def test_a_payload_that_is_none_is_dead_at_once(effects: Effects, data: bytes) -> None:
    async with consuming(effects, replace(photo_changed("a", 1), data=data)):
        await expect_letters(effects, ["dead"])
    assert await effects.rows() == []


async def test_an_unknown_type_is_passed_over(effects: Effects) -> None:
    strange = replace(photo_changed("a", 1), type="gallery.events.v9.Strange")
    async with consuming(effects, strange, photo_changed("a", 2)):
        await expect_rows(effects, [("a", 2)])
    assert await effects.letters() == []


async def test_when_most_messages_fail_the_consumer_stops(effects: Effects) -> None:
    messages = [photo_changed(f"photo-{number}", 1) for number in range(30)]
    effects.failures = {(message.key, 1): [PermanentError("never")] for message in messages}
    bus = MemoryBus()
    await bus.publish(messages)
    consumer = Consumer(
        name="test",
        bus=bus,
        database=effects.database,
        topics=[Topic.CATALOGUE],
        handlers={PhotoChanged: effects.handle},
    )
    with pytest.raises(ConsumerStoppedError):
        await consumer.run()
