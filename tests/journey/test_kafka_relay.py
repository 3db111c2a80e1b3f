"""What a service says reaches Kafka: all of it, each key in its order, whatever dies in between."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
import pytest_asyncio
from aiokafka.errors import ProducerFenced
from support.engines.kafka import Kafka
from support.kafka_cluster import fresh_cluster, records
from support.messages import photo_changed
from support.outbox import heard, revisions_by_key, say, speaking
from support.waiting import expect_soon

from gallery.adapters.kafka_bus import KafkaBus
from gallery.adapters.kafka_cluster import KafkaCluster
from gallery.adapters.kafka_records import to_message, to_record
from gallery.adapters.kafka_relay import KafkaRelay
from gallery.adapters.postgres_bus import PostgresBus, PostgresSubscription
from gallery.events.topics import Topic
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.retry import RetryPolicy

pytestmark = pytest.mark.engine

KEYS = [f"photo-{number}" for number in range(12)]
QUICK = RetryPolicy(first_pause=timedelta(milliseconds=10), longest_pause=timedelta(milliseconds=200))


@dataclass
class Service:
    """A service with an outbox, the Kafka it tells, and as many relays as a test wants."""

    database: Database
    outbox: PostgresBus
    cluster: KafkaCluster

    @property
    def bus(self) -> KafkaBus:
        return KafkaBus(self.cluster)

    def relay(self) -> KafkaRelay:
        return KafkaRelay(
            service="metadata", outbox=self.outbox, topics=[Topic.CATALOGUE], cluster=self.cluster, policy=QUICK
        )

    async def disturb_relays(self) -> int:
        """Cut the connections on which relays hold or await their turn; returns how many there were."""
        async with await psycopg.AsyncConnection.connect(self.database.url, autocommit=True) as connection:
            cursor = await connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE locktype = 'advisory' AND granted AND datname = current_database()"
                " AND application_name NOT LIKE 'gallery %%'"
            )
            return len(await cursor.fetchall())


@pytest_asyncio.fixture
async def service(database_url: str, kafka: Kafka) -> AsyncIterator[Service]:
    cluster = await fresh_cluster(kafka.servers, topics=[Topic.CATALOGUE])
    async with (
        speaking(database_url) as database,
        PostgresBus.open(database_url, home="metadata", producers={Topic.CATALOGUE: "metadata"}) as outbox,
    ):
        yield Service(database, outbox, cluster)


async def expect_published(relay: KafkaRelay) -> None:
    async def nothing_waits() -> bool:
        return (await relay.backlog()).rows == 0

    await expect_soon(nothing_waits)


async def say_a_lot(service: Service, *, revisions: int) -> None:
    """Four writers at once, each with keys of its own."""
    async with asyncio.TaskGroup() as group:
        for writer in range(4):
            group.create_task(say(service.database, KEYS[writer::4], range(1, revisions + 1)))


async def test_what_is_said_is_heard_whole_and_in_order(service: Service) -> None:
    async with background(relay=service.relay().run()):
        await say_a_lot(service, revisions=25)
        messages = await heard(service.bus, 25 * len(KEYS))
    assert revisions_by_key(messages) == {key: list(range(1, 26)) for key in KEYS}
    async with service.outbox.subscribe("as it was said", [Topic.CATALOGUE]) as subscription:
        said = await subscription.poll(limit=1000, timeout=timedelta(seconds=1))
    assert {message.id: message for message in said} == {message.id: message for message in messages}


async def test_while_kafka_is_away_facts_wait_and_are_counted(service: Service, kafka: Kafka) -> None:
    relay = service.relay()
    kafka.stop()
    try:
        await say(service.database, KEYS, range(1, 101))
        async with background(relay=relay.run()):
            await asyncio.sleep(0)
            backlog = await relay.backlog()
            assert backlog.rows == 100 * len(KEYS)
            assert timedelta(0) < backlog.age < timedelta(minutes=1)
            kafka.launch()
            await asyncio.to_thread(kafka.wait)
            messages = await heard(service.bus, backlog.rows)
            await expect_published(relay)
            assert (await relay.backlog()).age == timedelta(0)
    finally:
        kafka.stop()
        kafka.start()
    assert len(messages) == backlog.rows
    assert revisions_by_key(messages) == {key: list(range(1, 101)) for key in KEYS}


async def test_a_broker_killed_in_the_middle_loses_nothing_and_inverts_nothing(service: Service, kafka: Kafka) -> None:
    async with background(relay=service.relay().run()), asyncio.TaskGroup() as group:
        talking = group.create_task(say_a_lot(service, revisions=150))
        listening = group.create_task(heard(service.bus, 150 * len(KEYS)))
        for kill in range(2):
            await heard(service.bus, 60, name="early bird")
            kafka.kill()
            assert kill or not talking.done()
            kafka.launch()
            await asyncio.to_thread(kafka.wait)
    assert revisions_by_key(listening.result()) == {key: list(range(1, 151)) for key in KEYS}


async def test_the_turn_passes_between_two_relays_without_a_trace(service: Service) -> None:
    async with background(one=service.relay().run(), other=service.relay().run()), asyncio.TaskGroup() as group:
        talking = group.create_task(say_a_lot(service, revisions=150))
        disturbed = 0
        while not talking.done():
            disturbed += await service.disturb_relays()
            await asyncio.sleep(0.2)
        messages = await heard(service.bus, 150 * len(KEYS))
    assert disturbed >= 3
    assert revisions_by_key(messages) == {key: list(range(1, 151)) for key in KEYS}


async def test_relays_that_end_at_any_moment_lose_nothing(service: Service) -> None:
    chance, ends = random.Random(8), 0
    async with asyncio.TaskGroup() as group:
        talking = group.create_task(say_a_lot(service, revisions=100))
        while not talking.done():
            async with background(relay=service.relay().run()):
                await asyncio.sleep(chance.uniform(0.02, 0.3))
            ends += 1
    async with background(relay=service.relay().run()):
        messages = await heard(service.bus, 100 * len(KEYS))
    assert ends >= 3
    assert revisions_by_key(messages) == {key: list(range(1, 101)) for key in KEYS}


async def test_a_relay_that_slept_through_its_turn_can_publish_nothing_more(service: Service) -> None:
    sleeper, successor = service.relay(), service.relay()
    async with sleeper._producer() as old:
        await old.begin_transaction()
        late = photo_changed("photo-1", 1)
        await old.send_and_wait(service.cluster.called(late.topic), **to_record(late))
        async with successor._producer() as new:
            await successor._publish(new, [photo_changed("photo-1", 2)])
            with pytest.raises(ProducerFenced):
                await old.commit_transaction()
            messages = await heard(service.bus, 1)
    assert [message.revision for message in messages] == [2]


async def test_a_relay_that_dies_before_it_noted_so_publishes_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, deaths = PostgresSubscription.commit, 2

    async def die(subscription: PostgresSubscription, messages: list[object]) -> None:
        nonlocal deaths
        if deaths:
            deaths -= 1
            raise psycopg.OperationalError("the relay died here")
        await commit(subscription, messages)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresSubscription, "commit", die)
    await say(service.database, KEYS, [1, 2])
    relay = service.relay()
    async with background(relay=relay.run()):
        await expect_published(relay)
    copies = [to_message(record, topic=Topic.CATALOGUE) for record in await records(service.cluster, Topic.CATALOGUE)]
    assert len(copies) == 3 * 2 * len(KEYS)
    assert revisions_by_key(copies) == {key: [1, 2] for key in KEYS}
    assert revisions_by_key(await heard(service.bus, 2 * len(KEYS))) == {key: [1, 2] for key in KEYS}


async def test_a_relay_stops_soon_although_kafka_is_away(service: Service, kafka: Kafka) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(background(relay=service.relay().run()))
        await say(service.database, KEYS, [1])
        await heard(service.bus, len(KEYS))
        kafka.kill()
        try:
            await say(service.database, KEYS, [2])
            async with asyncio.timeout(15):
                await stack.aclose()
            assert not [task for task in asyncio.all_tasks() if "aiokafka" in repr(task)]
        finally:
            kafka.start()
