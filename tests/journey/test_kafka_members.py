"""Whatever becomes of members, brokers and messages: each fact has its effect once, and each key its order."""

import asyncio
import os
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from support.engines.kafka import Kafka
from support.engines.process import EngineProcess
from support.kafka_cluster import Publish, fresh_cluster, publishing
from support.kafka_member import EFFECTS, QUICK, member
from support.messages import photo_changed
from support.outbox import speaking
from support.waiting import expect_soon

from gallery.adapters.kafka_bus import KafkaBus
from gallery.adapters.kafka_cluster import KafkaCluster
from gallery.adapters.kafka_records import to_record
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.runtime import dead_letters
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer, Delivery
from gallery.runtime.database import Database

pytestmark = pytest.mark.engine

TESTS = Path(__file__).parents[1]
KEYS = [f"photo-{number}" for number in range(24)]
PATIENCE_SECONDS = 60


@dataclass
class Story:
    """Facts that come, members that handle them, and the effects that are there."""

    folder: Path
    database: Database
    cluster: KafkaCluster
    publish: Publish
    said: int = 0

    async def say(self, revisions: int) -> None:
        """Say as many further facts of every key."""
        new = range(self.said + 1, self.said + revisions + 1)
        await self.publish([photo_changed(key, revision) for revision in new for key in KEYS])
        self.said += revisions

    @contextmanager
    def process(self, name: str) -> Iterator[EngineProcess]:
        words = [self.database.url, self.cluster.servers, self.cluster.prefix]
        process = EngineProcess(
            [sys.executable, "-m", "support.kafka_member", name, *words],
            log=self.folder / f"{name}.log",
            environment={"PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])},
        )
        process.start()
        try:
            yield process
        finally:
            process.kill()

    async def effects(self) -> list[tuple[str, int, str]]:
        async with self.database.read() as connection:
            rows = await (await connection.execute("SELECT photo, revision, member FROM effects ORDER BY n")).fetchall()
            return [(row["photo"], row["revision"], row["member"]) for row in rows]

    async def expect(self, condition: Callable[[list[tuple[str, int, str]]], bool]) -> None:
        """Wait until the effects are so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition(await self.effects()):  # noqa: ASYNC110  # other processes write them
                await asyncio.sleep(0.05)

    async def expect_all(self) -> None:
        await self.expect(lambda effects: len(effects) >= self.said * len(KEYS))

    async def assert_once_and_in_order(self) -> None:
        by_key: dict[str, list[int]] = defaultdict(list)
        for key, revision, _ in await self.effects():
            by_key[key].append(revision)
        assert by_key == {key: list(range(1, self.said + 1)) for key in KEYS}
        assert await dead_letters.listing(self.database) == []


def both_work(effects: Iterable[tuple[str, int, str]]) -> bool:
    return {member for _, _, member in effects} >= {"one", "other"}


@pytest_asyncio.fixture
async def story(database_url: str, kafka: Kafka, tmp_path: Path) -> AsyncIterator[Story]:
    cluster = await fresh_cluster(kafka.servers, topics=[Topic.CATALOGUE], partitions=6)
    async with speaking(database_url) as database, publishing(cluster) as publish:
        async with database.transaction() as tx:
            await tx.execute(EFFECTS)
        yield Story(tmp_path, database, cluster, publish)


async def test_a_member_that_is_killed_is_stood_in_for(story: Story) -> None:
    with story.process("one"), story.process("other") as other:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not both_work(await story.effects()):
                await story.say(5)
                await asyncio.sleep(0.2)
        await story.say(40)
        await story.expect(lambda effects: effects[-1][2] == "other")
        other.kill()
        await story.expect_all()
    await story.assert_once_and_in_order()


async def test_a_member_that_slept_past_its_session_harms_nothing(story: Story) -> None:
    with story.process("one"), story.process("other") as other:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not both_work(await story.effects()):
                await story.say(5)
                await asyncio.sleep(0.2)
        for _ in range(2):
            await story.say(20)
            await story.expect(lambda effects: effects[-1][2] == "other")
            other.pause()
            await story.expect_all()  # by the one alone, once the session of the other is over
            before = Counter(member for *_, member in await story.effects())["other"]
            other.resume()
            await story.say(20)
            await story.expect_all()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while Counter(member for *_, member in await story.effects())["other"] == before:
                    await story.say(1)
                    await asyncio.sleep(0.1)
            await story.expect_all()
    await story.assert_once_and_in_order()


async def test_members_come_and_go_under_load(story: Story) -> None:
    async with background(lasting=member("one", story.database, story.cluster).run()):
        await story.say(60)
        for round_ in range(4):
            async with background(passing=member("other", story.database, story.cluster).run()):
                wanted = 250 * (round_ + 1)
                await story.expect(lambda effects, wanted=wanted: len(effects) >= wanted)  # type: ignore[misc]
        await story.expect_all()
    await story.assert_once_and_in_order()


async def test_a_broker_that_is_killed_under_its_members_delays_only(story: Story, kafka: Kafka) -> None:
    async with (
        background(
            one=member("one", story.database, story.cluster).run(),
            other=member("other", story.database, story.cluster).run(),
        ),
        asyncio.TaskGroup() as group,
    ):
        await story.say(20)
        for _ in range(2):
            handled = len(await story.effects())
            await story.expect(lambda effects, handled=handled: len(effects) > handled)  # type: ignore[misc]
            kafka.kill()
            talking = group.create_task(story.say(20))
            kafka.launch()
            await asyncio.to_thread(kafka.wait)
            await talking
        await story.expect_all()
    await story.assert_once_and_in_order()


@asynccontextmanager
async def consuming(
    story: Story, handle: Callable[[Delivery, PhotoChanged], Awaitable[None]]
) -> AsyncIterator[Consumer]:
    consumer = Consumer(
        name="one",
        bus=KafkaBus(story.cluster),
        database=story.database,
        topics=[Topic.CATALOGUE],
        handlers={PhotoChanged: handle},
        policy=QUICK,
    )
    async with background(consumer=consumer.run()):
        yield consumer


async def test_a_newer_producer_is_understood_and_strange_records_are_kept(story: Story) -> None:
    handled: list[tuple[str, int]] = []

    async def handle(delivery: Delivery, fact: PhotoChanged) -> None:
        async with delivery.transaction():
            handled.append((fact.photo_id, delivery.message.revision))

    known = photo_changed("a", 1)
    newer = replace(photo_changed("a", 2), data=photo_changed("a", 2).data + b"\xf2\x3f\x03new")  # field 1022
    unheard_of = replace(photo_changed("a", 3), type="gallery.events.v2.PhotoForgotten")
    empty = replace(photo_changed("a", 4), data=b"")
    last = photo_changed("a", 5)
    async with AsyncExitStack() as stack, AIOKafkaProducer(bootstrap_servers=story.cluster.servers) as stranger:
        topic = story.cluster.called(Topic.CATALOGUE)
        nameless = {**to_record(known), "headers": [("ce_id", b"seven")]}
        sent: list[dict[str, Any]] = [*map(dict, map(to_record, [known, newer, unheard_of, empty])), nameless]
        places = [await stranger.send_and_wait(topic, **record) for record in [*sent, dict(to_record(last))]]
        consumer = await stack.enter_async_context(consuming(story, handle))

        async def all_there() -> bool:
            return len(handled) == 3 and len(await dead_letters.listing(story.database)) == 2

        await expect_soon(all_there)
    assert handled == [("a", 1), ("a", 2), ("a", 5)]
    assert consumer.skipped == 1
    causes = [(letter["state"], letter["cause"]) for letter in await dead_letters.listing(story.database)]
    place = f"gallery.catalogue, partition {places[4].partition}, offset {places[4].offset}"
    assert sorted(causes) == [
        ("dead", f"MalformedMessageError: {place}: the header 'ce_specversion' is missing"),
        ("dead", "MalformedMessageError: nothing in the payload is of a gallery.events.v1.PhotoChanged"),
    ]
