"""The processes of `losses.py`: a writer and two listeners, as a plain loop, and with what the gallery uses.

Usage: python bench/loops.py plain|gallery writer|first|second URL SERVERS PREFIX

The writer changes one row after the other and tells of each change. Who listens first writes each into a table and
tells of it in turn; who listens second writes that into the table, too. The plain loop does so as many do: Kafka's
client as it comes, which commits its place by itself; write, then produce. It ends when something fails, and is started
again by whoever looks after it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from support.messages import LIBRARY

from gallery.adapters.kafka_bus import KafkaBus
from gallery.adapters.kafka_cluster import KafkaCluster
from gallery.adapters.kafka_relay import KafkaRelay
from gallery.adapters.postgres_bus import PostgresBus
from gallery.adapters.profile import PRODUCERS
from gallery.events.topics import CATALOGUE, Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.events.v1.search_pb2 import PhotoIndexed
from gallery.runtime import partitions
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer, Delivery
from gallery.runtime.database import Database, Transaction
from gallery.runtime.migrations import migrate
from gallery.runtime.outbox import Fact, append

KEYS = 200
PAUSE_SECONDS = 0.004
"""Between two changes; a hundred or two a second leave both loops time to catch up."""
SOURCES = {"first": Topic.CATALOGUE, "second": Topic.SEARCH}
HOMES = {"writer": "metadata", "first": "search", "second": "metadata"}
"""Whose schema a process works in, in the gallery."""

TABLES = """
    CREATE TABLE over (since timestamptz NOT NULL);
    CREATE TABLE said (n bigint PRIMARY KEY, key text NOT NULL, revision bigint NOT NULL);
    CREATE TABLE effects (listener text NOT NULL, key text NOT NULL, revision bigint NOT NULL);
    CREATE TABLE latest (listener text, key text, revision bigint NOT NULL, PRIMARY KEY (listener, key));
"""
LAST = "SELECT coalesce(max(n), 0), EXISTS (SELECT FROM public.over) FROM public.said"
"""And whether that was enough."""
SAY = "INSERT INTO public.said VALUES (%s, %s, %s)"
EFFECT = "INSERT INTO public.effects VALUES (%s, %s, %s)"
LATEST = """
    INSERT INTO public.latest AS known VALUES (%s, %s, %s)
    ON CONFLICT (listener, key) DO UPDATE SET revision = excluded.revision
"""
NEWER = f"{LATEST} WHERE known.revision < excluded.revision"


def change(number: int) -> tuple[str, int]:
    """Key and revision of the change of this number, from 1."""
    return f"photo-{number % KEYS}", number // KEYS + 1


async def prepare(url: str) -> None:
    """Make the tables, and the schemas of the gallery's services."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(TABLES.encode())
    for schema in set(HOMES.values()):
        await migrate(url, schema=schema, packages=[])
        async with Database.open(url, schema=schema) as database:
            await partitions.renew(database)


async def write_plainly(url: str, cluster: KafkaCluster) -> None:
    """Commit a change, then tell of it."""
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
        AIOKafkaProducer(bootstrap_servers=cluster.servers) as producer,
    ):
        while (number := await _next(connection)) is not None:
            key, revision = change(number)
            await connection.execute(SAY.encode(), [number, key, revision])
            await producer.send_and_wait(
                cluster.called(Topic.CATALOGUE), key=key.encode(), value=str(revision).encode()
            )
            await asyncio.sleep(PAUSE_SECONDS)
        await asyncio.Event().wait()


async def listen_plainly(listener: str, url: str, cluster: KafkaCluster) -> None:
    """Write what is heard, then tell of it; the client commits its place every five seconds, and when it is closed."""
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
        AIOKafkaProducer(bootstrap_servers=cluster.servers) as producer,
        AIOKafkaConsumer(
            cluster.called(SOURCES[listener]),
            bootstrap_servers=cluster.servers,
            group_id=cluster.called(listener),
            enable_auto_commit=True,
            auto_offset_reset="earliest",
        ) as consumer,
    ):
        async for record in consumer:
            effect = [listener, record.key.decode(), int(record.value)]
            await connection.execute(EFFECT.encode(), effect)
            await connection.execute(LATEST.encode(), effect)
            if listener == "first":
                await producer.send_and_wait(cluster.called(Topic.SEARCH), key=record.key, value=record.value)


async def write(url: str, cluster: KafkaCluster) -> None:
    """Commit a change together with the fact; the relay tells of it."""
    async with _home("writer", url, cluster, says=Topic.CATALOGUE) as database:
        while True:
            async with database.read() as connection:
                number = await _next(connection)
            if number is None:
                break
            key, revision = change(number)
            async with database.transaction(keys=[key]) as tx:
                await tx.execute(SAY.encode(), [number, key, revision])
                await append(tx, Fact(Topic.CATALOGUE, key, LIBRARY, revision, PhotoChanged(photo_id=key)))
            await asyncio.sleep(PAUSE_SECONDS)
        await asyncio.Event().wait()  # the relay may not be through


async def listen(listener: str, url: str, cluster: KafkaCluster) -> None:
    """Write what is heard, the memory of it and the fact that it causes in one transaction."""

    async def heard(delivery: Delivery, fact: PhotoChanged | PhotoIndexed) -> None:
        key, revision = delivery.message.key, delivery.message.revision
        async with delivery.transaction() as tx:
            await _note(tx, [listener, key, revision])
            if listener == "first":
                body = PhotoIndexed(photo_id=fact.photo_id, catalogue_revision=revision)
                await append(tx, Fact(Topic.SEARCH, key, LIBRARY, revision, body))

    source = SOURCES[listener]
    async with _home(listener, url, cluster, says=Topic.SEARCH if listener == "first" else None) as database:
        consumer = Consumer(
            name=listener,
            bus=KafkaBus(cluster),
            database=database,
            topics=[source],
            handlers={CATALOGUE[source].types[0]: heard},
        )
        await consumer.run()


@asynccontextmanager
async def _home(role: str, url: str, cluster: KafkaCluster, *, says: Topic | None) -> AsyncIterator[Database]:
    """Open a service's place in the database, with a relay where it says something."""
    schema = HOMES[role]
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(url, schema=schema))
        if says is not None:
            outbox = await stack.enter_async_context(PostgresBus.open(url, home=schema, producers=PRODUCERS))
            relay = KafkaRelay(service=schema, outbox=outbox, topics=[says], cluster=cluster)
            await stack.enter_async_context(background(relay=relay.run()))
        yield database


async def _note(tx: Transaction, effect: list[Any]) -> None:
    await tx.execute(EFFECT.encode(), effect)
    await tx.execute(NEWER.encode(), effect)


async def _next(connection: psycopg.AsyncConnection[Any]) -> int | None:
    """The number of the next change; None once it was enough."""
    async with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        ((last, enough),) = await (await cursor.execute(LAST.encode())).fetchall()
    return None if enough else int(last) + 1


async def _run(kind: str, role: str, url: str, cluster: KafkaCluster) -> None:
    if role == "writer":
        await (write_plainly if kind == "plain" else write)(url, cluster)
    else:
        await (listen_plainly if kind == "plain" else listen)(role, url, cluster)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], sys.argv[2], sys.argv[3], KafkaCluster(sys.argv[4], prefix=sys.argv[5])))
