"""A consumer says how it gets on: what became of messages, how late it is, what nobody has replayed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest_asyncio
from support.measured import Growth, page
from support.messages import photo_changed
from support.waiting import expect_soon

from gallery.adapters.memory_bus import MemoryBus
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.ports.bus import Message
from gallery.runtime import dead_letters, partitions, tracing
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer, Delivery
from gallery.runtime.database import Database
from gallery.runtime.errors import PermanentError, TransientError
from gallery.runtime.migrations import migrate
from gallery.runtime.retry import RetryPolicy

SUBSCRIPTION = "measured"
QUICK = RetryPolicy(first_pause=timedelta(milliseconds=1), longest_pause=timedelta(milliseconds=2))
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TYPE = PhotoChanged.DESCRIPTOR.full_name


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, schema="metadata", packages=[])
    async with Database.open(database_url, schema="metadata") as opened:
        await partitions.renew(opened)
        yield opened


class Fate:
    """Fails as each key says."""

    def __init__(self) -> None:
        self.transient = 2
        self.traces: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def handle(self, delivery: Delivery, fact: PhotoChanged) -> None:
        self.traces.append(tracing.traceparent())
        async with delivery.transaction():
            await self.go_on.wait()
            if fact.photo_id == "dead":
                raise PermanentError("never")
            if fact.photo_id == "parked":
                raise ValueError("a bug")
            if fact.photo_id == "shaky" and self.transient:
                self.transient -= 1
                raise TransientError("away")


@asynccontextmanager
async def consuming(database: Database, fate: Fate, *messages: Message) -> AsyncIterator[None]:
    bus = MemoryBus()
    await bus.publish(messages)
    consumer = Consumer(
        name=SUBSCRIPTION,
        bus=bus,
        database=database,
        topics=[Topic.CATALOGUE],
        handlers={PhotoChanged: fate.handle},
        policy=QUICK,
    )
    async with background(consumer=consumer.run()):
        yield


async def expect_reading(name: str, expected: Callable[[float], bool], **labels: str) -> None:
    """Read the page until a gauge says what is expected."""

    async def said() -> bool:
        value = (await page()).value(name, **labels)
        return value is not None and expected(value)

    await expect_soon(said)


async def test_messages_are_counted_by_what_became_of_them(database: Database) -> None:
    again = photo_changed("good", 1)
    strange = replace(photo_changed("strange", 1), type="gallery.events.v9.Strange")
    facts = [photo_changed(key, 1) for key in ("shaky", "dead", "parked")]
    expected = {"handled": 2, "repeated": 1, "skipped": 1, "failed": 4, "dead": 1, "parked": 2}
    async with Growth() as growth:

        async def counted() -> bool:
            return expected == {
                outcome: await growth.of("gallery_consumer_messages_total", subscription=SUBSCRIPTION, outcome=outcome)
                for outcome in expected
            }

        messages = (again, again, strange, *facts, photo_changed("parked", 2))
        async with consuming(database, Fate(), *messages):
            await expect_soon(counted)
            letters = {"subscription": SUBSCRIPTION}
            shown = await page()
            states = {
                state: shown.value("gallery_dead_letters", **letters, state=state) for state in ("dead", "parked")
            }
            assert states == {"dead": 1, "parked": 2}
        asked = {"subscription": SUBSCRIPTION, "type": TYPE}
        attempts = 2 + 3 + 1 + 3
        assert await growth.of("gallery_consumer_handler_seconds_count", **asked) == attempts
        assert await growth.of("gallery_consumer_delay_seconds_count", subscription=SUBSCRIPTION) == 4


async def test_what_is_replayed_is_no_dead_letter_any_more(database: Database) -> None:
    fate = Fate()
    async with consuming(database, fate, photo_changed("dead", 1)):
        await expect_reading("gallery_dead_letters", lambda value: value == 1, subscription=SUBSCRIPTION, state="dead")
        (letter,) = await dead_letters.listing(database)
        fate.go_on.clear()
        await dead_letters.replay(database, letter["id"])
        await expect_reading(
            "gallery_dead_letters", lambda value: value == 1, subscription=SUBSCRIPTION, state="replaying"
        )
        await expect_reading("gallery_dead_letters", lambda value: value == 0, subscription=SUBSCRIPTION, state="dead")
        fate.go_on.set()


async def test_the_lag_is_the_age_of_what_is_not_dealt_with(database: Database) -> None:
    fate = Fate()
    fate.go_on.clear()
    old = replace(photo_changed("old", 1), at=datetime.now(UTC) - timedelta(minutes=10))
    asked = {"subscription": SUBSCRIPTION}
    async with consuming(database, fate, photo_changed("new", 1), old):
        await expect_reading("gallery_consumer_oldest_seconds", lambda value: 600 <= value < 660, **asked)
        fate.go_on.set()
        await expect_reading("gallery_consumer_oldest_seconds", lambda value: value == 0, **asked)


async def test_a_message_is_handled_in_the_trace_of_what_said_it(database: Database) -> None:
    fate = Fate()

    async def handled() -> bool:
        return len(fate.traces) == 2

    traced = replace(photo_changed("traced", 1), traceparent=PARENT)
    async with consuming(database, fate, traced, replace(photo_changed("broken", 1), traceparent="nonsense")):
        await expect_soon(handled)
    followed, begun = sorted(fate.traces, key=lambda trace: trace[3:35] != PARENT[3:35])
    assert followed[:36] == PARENT[:36]
    assert followed[36:52] != PARENT[36:52], "a span of its own"
    assert tracing.parse(begun) is not None


async def test_the_pool_says_how_many_connections_are_left(database: Database) -> None:
    async def states() -> dict[str, float | None]:
        shown = await page()
        return {
            state: shown.value("gallery_database_connections", schema="metadata", state=state)
            for state in ("used", "idle", "spare")
        }

    assert sum(value or 0 for value in (await states()).values()) == 4
    async with database.read(), database.read():
        found = await states()
        assert found["used"] == 2
        assert sum(value or 0 for value in found.values()) == 4
    assert (await page()).value("gallery_database_waiting_requests", schema="metadata") == 0
