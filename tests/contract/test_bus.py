"""What every bus promises, memory, Postgres and Kafka alike; the first two shuffle between keys, as Kafka does."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio
from support.kafka_cluster import fresh_cluster, publishing
from support.messages import LIBRARY, photo_changed

from gallery.adapters.kafka_bus import KafkaBus
from gallery.adapters.memory_bus import MemoryBus
from gallery.adapters.postgres_bus import PostgresBus
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.ports.bus import Bus, Message, Subscription
from gallery.runtime import partitions
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.runtime.outbox import Fact, append

SOON = timedelta(seconds=30)
AT_ONCE = timedelta(milliseconds=50)


@dataclass
class Case:
    """A bus and a way to say facts on it."""

    bus: Bus
    say: Callable[[Sequence[tuple[str, int]]], Awaitable[None]]


@asynccontextmanager
async def memory() -> AsyncIterator[Case]:
    bus = MemoryBus(shuffle=random.Random(1))

    async def say(facts: Sequence[tuple[str, int]]) -> None:
        await bus.publish([photo_changed(key, revision) for key, revision in facts])

    yield Case(bus, say)


@asynccontextmanager
async def postgres(url: str) -> AsyncIterator[Case]:
    await migrate(url, schema="metadata", packages=[])
    async with (
        Database.open(url, schema="metadata") as database,
        PostgresBus.open(
            url, home="metadata", producers=dict.fromkeys(Topic, "metadata"), shuffle=random.Random(1)
        ) as bus,
    ):
        await partitions.renew(database)

        async def say(facts: Sequence[tuple[str, int]]) -> None:
            for key, revision in facts:
                async with database.transaction(keys=[key]) as tx:
                    body = PhotoChanged(photo_id=key)
                    await append(
                        tx, Fact(topic=Topic.CATALOGUE, key=key, library_id=LIBRARY, revision=revision, body=body)
                    )

        yield Case(bus, say)


@asynccontextmanager
async def kafka(servers: str) -> AsyncIterator[Case]:
    cluster = await fresh_cluster(servers, topics=[Topic.CATALOGUE, Topic.PEOPLE])
    async with publishing(cluster) as publish:

        async def say(facts: Sequence[tuple[str, int]]) -> None:
            await publish([photo_changed(key, revision) for key, revision in facts])

        yield Case(KafkaBus(cluster), say)


@pytest_asyncio.fixture(params=["memory", "postgres", pytest.param("kafka", marks=pytest.mark.engine)])
async def case(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Case]:
    match request.param:
        case "memory":
            opening = memory()
        case "postgres":
            opening = postgres(database_url)
        case _:
            opening = kafka(request.getfixturevalue("kafka").servers)
    async with opening as made:
        yield made


async def gather(subscription: Subscription, wanted: int, *, limit: int = 100) -> list[Message]:
    """Poll until so many are there: a bus may hand out what it has before it has all."""
    found: list[Message] = []
    while len(found) < wanted:
        messages = await subscription.poll(limit=limit, timeout=SOON)
        assert messages, f"{len(found)} of {wanted} came"
        assert len(messages) <= limit
        found.extend(messages)
    return found


FACTS = [(f"photo-{number % 5}", 1 + number // 5) for number in range(20)]


async def test_every_fact_arrives_whole_and_in_order_for_its_key(case: Case) -> None:
    await case.say(FACTS)
    async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
        messages = await gather(subscription, len(FACTS))
    by_key: dict[str, list[int]] = defaultdict(list)
    for found in messages:
        by_key[found.key].append(found.revision)
        assert found.library_id == LIBRARY
        assert PhotoChanged.FromString(found.data).photo_id == found.key
    assert by_key == {f"photo-{number}": [1, 2, 3, 4] for number in range(5)}


async def test_nothing_between_keys_can_be_relied_on(case: Case) -> None:
    await case.say(FACTS)
    async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
        messages = await gather(subscription, len(FACTS))
    assert [(found.key, found.revision) for found in messages] != FACTS


async def test_what_was_handed_out_is_not_handed_out_again(case: Case) -> None:
    await case.say(FACTS)
    async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
        first = await subscription.poll(limit=8, timeout=SOON)
        assert 0 < len(first) <= 8
        second = await gather(subscription, len(FACTS) - len(first))
        assert await subscription.poll(limit=100, timeout=AT_ONCE) == []
    assert len({found.id for found in [*first, *second]}) == len(FACTS)


async def test_what_was_not_committed_comes_again(case: Case) -> None:
    await case.say([("photo-1", 1), ("photo-1", 2), ("photo-1", 3)])
    async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
        messages = await subscription.poll(limit=100, timeout=SOON)
        await subscription.commit(messages[:1])
    async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
        again = await subscription.poll(limit=100, timeout=SOON)
    assert [found.revision for found in again] == [2, 3]


async def test_subscriptions_do_not_know_of_each_other(case: Case) -> None:
    await case.say([("photo-1", 1)])
    for name in ("one", "two"):
        async with case.bus.subscribe(name, [Topic.CATALOGUE]) as subscription:
            messages = await subscription.poll(limit=100, timeout=SOON)
            await subscription.commit(messages)
        assert [found.revision for found in messages] == [1]
    async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
        assert await subscription.poll(limit=100, timeout=AT_ONCE) == []


async def test_a_waiting_poll_is_woken(case: Case) -> None:
    async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
        assert await subscription.poll(limit=1, timeout=AT_ONCE) == []
        await case.say([("photo-1", 1)])
        assert len(await subscription.poll(limit=1, timeout=SOON)) == 1


async def test_a_hole_keeps_what_lies_behind_it(case: Case) -> None:
    await case.say([*((f"photo-{number}", 1) for number in range(4)), ("photo-4", 1), ("photo-4", 2)])
    async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
        messages = sorted(await gather(subscription, 6), key=lambda found: (found.key, found.revision))
        await subscription.commit([messages[number] for number in (0, 1, 5, 3)])
        await subscription.commit([messages[2]])
    async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
        again = await gather(subscription, 2)
        assert await subscription.poll(limit=100, timeout=AT_ONCE) == []
    assert [(found.key, found.revision) for found in again] == [("photo-4", 1), ("photo-4", 2)]


async def test_one_topic_s_place_is_nothing_to_another(case: Case) -> None:
    await case.say(FACTS)
    async with case.bus.subscribe("one", [Topic.PEOPLE]) as subscription:
        assert await subscription.poll(limit=100, timeout=AT_ONCE) == []
    async with case.bus.subscribe("one", [Topic.PEOPLE, Topic.CATALOGUE]) as subscription:
        assert len(await gather(subscription, len(FACTS))) == len(FACTS)


async def test_a_second_member_waits_until_the_first_has_left(case: Case) -> None:
    await case.say([("photo-1", 1), ("photo-1", 2)])

    async def second() -> list[int]:
        async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
            return [found.revision for found in await subscription.poll(limit=100, timeout=SOON)]

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        async with case.bus.subscribe("one", [Topic.CATALOGUE]) as subscription:
            messages = await subscription.poll(limit=1, timeout=SOON)
            waiting = group.create_task(second())
            await asyncio.sleep(0)
            await subscription.commit(messages)
            assert not waiting.done()
        assert await waiting == [2]
