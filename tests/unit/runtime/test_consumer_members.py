"""Two members of one subscription: keys move between them, and what one parked the other knows of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from support.messages import photo_changed
from support.waiting import expect_soon

from gallery.adapters.memory_bus import MemoryBus, MemorySubscription
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.runtime import dead_letters, partitions
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer, Delivery
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.runtime.retry import RetryPolicy

QUICK = RetryPolicy(
    first_pause=timedelta(milliseconds=1),
    longest_pause=timedelta(milliseconds=2),
    longest_attempt=timedelta(milliseconds=200),
)


class Members:
    """Members of one subscription, each with a bus that stands for its partitions."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.broken = False
        self.hanging = False
        self.handled: list[tuple[str, int]] = []

    async def handle(self, delivery: Delivery, _: PhotoChanged) -> None:
        message = delivery.message
        if message.key == "a" and self.broken:
            raise ValueError("a bug")
        if message.key == "a" and self.hanging:
            await asyncio.Event().wait()
        async with delivery.transaction():
            self.handled.append((message.key, message.revision))

    @asynccontextmanager
    async def member(self) -> AsyncIterator[MemoryBus]:
        bus = MemoryBus()
        consumer = Consumer(
            name="test",
            bus=bus,
            database=self.database,
            topics=[Topic.CATALOGUE],
            handlers={PhotoChanged: self.handle},
            policy=QUICK,
        )
        async with background(consumer=consumer.run()):
            yield bus

    async def expect_handled(self, *expected: tuple[str, int]) -> None:
        async def reached() -> bool:
            return self.handled == list(expected)

        await expect_soon(reached)

    async def expect_letters(self, *expected: tuple[str, int, str]) -> None:
        async def reached() -> bool:
            return [(row["key"], row["revision"], row["state"]) for row in await self.letters()] == list(expected)

        await expect_soon(reached)

    async def letters(self) -> list[dict[str, Any]]:
        return await dead_letters.listing(self.database)


@pytest_asyncio.fixture
async def members(database_url: str) -> AsyncIterator[Members]:
    await migrate(database_url, schema="metadata", packages=[])
    async with Database.open(database_url, schema="metadata") as database:
        await partitions.renew(database)
        yield Members(database)


async def test_what_one_member_parked_stays_parked_at_the_next(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    members.broken = True
    async with members.member() as one, members.member() as other:
        await other.publish([photo_changed("b", 1)])
        await members.expect_handled(("b", 1))
        await one.publish([photo_changed("a", 1)])
        await members.expect_letters(("a", 1, "parked"))
        members.broken = False
        monkeypatch.setattr(MemorySubscription, "generation", 1)  # the partition of "a" moves
        await other.publish([photo_changed("a", 2), photo_changed("b", 2)])
        await members.expect_letters(("a", 1, "parked"), ("a", 2, "parked"))
        await members.expect_handled(("b", 1), ("b", 2))


async def test_what_another_member_replayed_is_parked_no_longer(members: Members) -> None:
    members.broken = True
    async with members.member() as bus:
        await bus.publish([photo_changed("a", 1), photo_changed("a", 2)])
        await members.expect_letters(("a", 1, "parked"), ("a", 2, "parked"))
        members.broken = False
        async with members.database.transaction() as tx:
            await tx.execute("DELETE FROM dead_letters")  # handled again elsewhere
        await bus.publish([photo_changed("a", 3), photo_changed("a", 4)])
        await members.expect_handled(("a", 3), ("a", 4))
    assert await members.letters() == []


async def test_two_members_replay_a_key_once_and_in_order(members: Members) -> None:
    members.broken = True
    async with members.member() as one, members.member() as other:
        await one.publish([photo_changed("a", 1), photo_changed("a", 2)])
        await members.expect_letters(("a", 1, "parked"), ("a", 2, "parked"))
        members.broken = False
        assert await dead_letters.replay(members.database, (await members.letters())[0]["id"]) == 2
        await members.expect_letters()
        await other.publish([photo_changed("a", 3)])
        await members.expect_handled(("a", 1), ("a", 2), ("a", 3))


async def test_a_handler_that_hangs_is_given_up_and_delays_no_other_key(members: Members) -> None:
    members.hanging = True
    async with members.member() as bus:
        await bus.publish([photo_changed("a", 1), photo_changed("b", 1)])
        await members.expect_handled(("b", 1))
        await members.expect_letters(("a", 1, "parked"))
    assert (await members.letters())[0]["cause"].startswith("TimeoutError")


async def test_a_message_without_an_identity_is_dead_at_once(members: Members) -> None:
    fault = "gallery.catalogue, partition 3, offset 17: the header 'ce_id' is missing"
    nameless = replace(photo_changed("", 0), type="", library_id=UUID(int=0), fault=fault)
    async with members.member() as bus:
        await bus.publish([nameless, photo_changed("b", 1)])
        await members.expect_handled(("b", 1))
        await members.expect_letters(("", 0, "dead"))
    assert (await members.letters())[0]["cause"] == f"MalformedMessageError: {fault}"
