"""What Kafka's bus promises beside what every bus does: members share a subscription, and partitions move well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from support.engines.kafka import Kafka
from support.kafka_cluster import fresh_cluster, publishing
from support.messages import photo_changed
from support.outbox import revisions_by_key
from support.waiting import expect_soon

from gallery.adapters.kafka_bus import FETCH_BYTES, READ_AHEAD, KafkaBus, KafkaSubscription, StuckError
from gallery.adapters.kafka_cluster import KafkaAwayError, KafkaCluster
from gallery.events.topics import Topic
from gallery.ports.bus import Message

pytestmark = pytest.mark.engine

SESSION = timedelta(seconds=1.5)
MOMENT = timedelta(milliseconds=200)
SOON = timedelta(seconds=30)
KEYS = [f"photo-{number}" for number in range(12)]


@pytest_asyncio.fixture
async def cluster(kafka: Kafka) -> KafkaCluster:
    return await fresh_cluster(kafka.servers, topics=[Topic.CATALOGUE])


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def say(cluster: KafkaCluster, *revisions: int, keys: list[str] = KEYS) -> None:
    async with publishing(cluster) as publish:
        await publish([photo_changed(key, revision) for revision in revisions for key in keys])


async def join(stack: AsyncExitStack, cluster: KafkaCluster, **settings: str | timedelta) -> KafkaSubscription:
    bus = KafkaBus(cluster, **{"session": SESSION, **settings})  # type: ignore[arg-type]
    return await stack.enter_async_context(bus.subscribe("shared", [Topic.CATALOGUE]))


async def gather(subscription: KafkaSubscription, wanted: int) -> list[Message]:
    found: list[Message] = []
    async with asyncio.timeout(SOON.total_seconds()):
        while len(found) < wanted:
            found.extend(await subscription.poll(limit=100, timeout=MOMENT))
    return found


def facts(messages: list[Message]) -> set[tuple[str, int]]:
    return {(message.key, message.revision) for message in messages}


async def test_members_share_the_keys(cluster: KafkaCluster, stack: AsyncExitStack) -> None:
    one = await join(stack, cluster)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(join(stack, cluster))
        while not waiting.done():  # the first member has to take note before the second gets anything
            assert await one.poll(limit=1, timeout=MOMENT) == []
    other = waiting.result()
    await say(cluster, 1, 2)
    mine, theirs = list[Message](), list[Message]()
    async with asyncio.timeout(SOON.total_seconds()):
        while len(mine) + len(theirs) < 2 * len(KEYS):
            mine.extend(await one.poll(limit=100, timeout=MOMENT))
            theirs.extend(await other.poll(limit=100, timeout=MOMENT))
    assert {message.key for message in mine}.isdisjoint(message.key for message in theirs)
    assert mine
    assert theirs
    assert revisions_by_key([*mine, *theirs]) == {key: [1, 2] for key in KEYS}


async def test_what_is_in_flight_at_a_rebalance_is_finished(cluster: KafkaCluster, stack: AsyncExitStack) -> None:
    await say(cluster, 1)
    one = await join(stack, cluster)
    messages = await gather(one, len(KEYS))
    generation = one.generation
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(join(stack, cluster))

        async def revoked() -> bool:
            return not one._assigned.is_set()

        await expect_soon(revoked)
        await one.commit(messages)
    assert one.generation > generation
    assert await waiting.result().poll(limit=100, timeout=MOMENT) == []
    assert await one.poll(limit=100, timeout=MOMENT) == []


async def test_what_is_not_finished_is_handed_back_and_not_taken_twice(
    cluster: KafkaCluster, stack: AsyncExitStack
) -> None:
    await say(cluster, 1)
    one = await join(stack, cluster)
    messages = await gather(one, len(KEYS))
    other = await join(stack, cluster)
    again = await gather(other, 1)
    again.extend(await other.poll(limit=100, timeout=MOMENT))
    assert facts(again) < facts(messages)
    assert await one.poll(limit=100, timeout=MOMENT) == []  # what it keeps it has already
    await one.commit(messages)
    await other.commit(again)
    await say(cluster, 2)
    assert len(await gather(one, 1)) + len(await gather(other, 1)) <= len(KEYS)
    await stack.aclose()
    third = await join(stack, cluster)
    assert facts(await gather(third, len(KEYS))) == {(key, 2) for key in KEYS}


async def test_a_slow_member_keeps_its_place(cluster: KafkaCluster, stack: AsyncExitStack) -> None:
    await say(cluster, 1)
    one = await join(stack, cluster)
    messages = await gather(one, len(KEYS))
    generation = one.generation
    # Its handlers take so long, and nobody polls meanwhile; that nothing happens can only be waited for.
    await asyncio.sleep(2 * SESSION.total_seconds())
    await one.commit(messages)
    assert one.generation == generation
    await stack.aclose()
    assert await (await join(stack, cluster)).poll(limit=100, timeout=timedelta(seconds=1)) == []


async def test_a_member_whose_handlers_all_hang_gives_its_place_up(
    cluster: KafkaCluster, stack: AsyncExitStack
) -> None:
    await say(cluster, 1)
    messages: list[Message] = []

    async def hang() -> None:
        async with KafkaBus(cluster, patience=timedelta(seconds=1)).subscribe("shared", [Topic.CATALOGUE]) as stuck:
            messages.extend(await gather(stuck, len(KEYS)))
            await asyncio.Event().wait()

    async with asyncio.timeout(SOON.total_seconds()):
        with pytest.raises(StuckError):
            await hang()
    other = await join(stack, cluster)
    assert facts(await gather(other, len(KEYS))) == facts(messages)


async def test_a_member_with_nothing_to_do_is_not_stuck(cluster: KafkaCluster, stack: AsyncExitStack) -> None:
    idle = await join(stack, cluster, patience=timedelta(milliseconds=300))
    assert await idle.poll(limit=1, timeout=timedelta(seconds=2)) == []
    await say(cluster, 1)
    assert await idle.poll(limit=1, timeout=SOON)


async def test_what_nobody_takes_is_not_fetched_without_end(cluster: KafkaCluster, stack: AsyncExitStack) -> None:
    revisions = list(range(1, 801))
    await say(cluster, *revisions)
    subscription = await join(stack, cluster)
    messages = list(await subscription.poll(limit=1, timeout=SOON))

    async def paused() -> bool:
        return len(subscription._consumer.paused()) == 3

    await expect_soon(paused)
    assert len(subscription._fetched) < READ_AHEAD + 3 * FETCH_BYTES // 200
    assert len(subscription._fetched) < len(revisions) * len(KEYS) // 2
    messages.extend(await gather(subscription, len(revisions) * len(KEYS) - 1))
    assert revisions_by_key(messages) == dict.fromkeys(KEYS, revisions)


async def test_a_member_with_a_name_comes_back_without_a_rebalance(
    cluster: KafkaCluster, stack: AsyncExitStack
) -> None:
    one = await join(stack, cluster, member="one", session=timedelta(seconds=6))

    async def knows_of_two() -> bool:
        return one.generation == 2

    async with AsyncExitStack() as short:
        await join(short, cluster, member="two", session=timedelta(seconds=6))
        await expect_soon(knows_of_two)
    back = await join(stack, cluster, member="two", session=timedelta(seconds=6))
    await say(cluster, 1)
    async with asyncio.timeout(SOON.total_seconds()):
        assert await gather(back, 1)
        assert await gather(one, 1)
    assert await knows_of_two()


async def test_a_record_without_headers_of_ours_comes_out_as_a_fault(cluster: KafkaCluster) -> None:
    async with AIOKafkaProducer(bootstrap_servers=cluster.servers) as stranger:
        topic = cluster.called(Topic.CATALOGUE)
        sent = await stranger.send_and_wait(topic, b"\xff\0", key=b"k", headers=[("ce_id", b"7")])
        await stranger.send_and_wait(topic, None, key=b"k")
    comings: list[list[Message]] = []
    for _ in range(2):
        async with AsyncExitStack() as short:
            comings.append(await gather(await join(short, cluster), 2))
    assert comings[0] == comings[1]  # with the same ids
    first, second = comings[0]
    assert first.id != second.id
    assert first.data == b"\xff\0"
    assert first.topic == Topic.CATALOGUE
    assert first.fault.startswith(f"gallery.catalogue, partition {sent.partition}, offset {sent.offset}: ")


async def test_a_kafka_that_is_away_is_said_to_be(stack: AsyncExitStack) -> None:
    with pytest.raises(KafkaAwayError):
        await join(stack, KafkaCluster("127.0.0.1:9"))
