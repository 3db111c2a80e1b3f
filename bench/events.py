"""How fast facts travel: outbox, relay, Kafka, and a handler that does nothing twice.

Usage: python bench/events.py [--events 60000] [--seconds 20]

Real engines, the real relay and a handler in a process of its own share the machine with the writer. Delays count from
the moment when a writer knows that its fact is committed to the moment when a reader of committed records has it; a
handler's count from the transaction of the fact. Quality gate: every fact has its effect, once, each key in its order,
and all poison is in the dead letters. Writes bench/results/events.json.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from goals import Figure, percentile, tell  # noqa: E402  # beside this file
from handling import SCHEMA  # noqa: E402
from process_cost import cpu_by_kind, tree  # noqa: E402
from support.distributed import BIN, RoleProcess  # noqa: E402
from support.engines.kafka import Kafka  # noqa: E402
from support.engines.postgres import Postgres  # noqa: E402
from support.engines.process import EngineProcess  # noqa: E402
from support.messages import LIBRARY  # noqa: E402

from gallery.events.topics import Topic  # noqa: E402
from gallery.events.v1.catalogue_pb2 import PhotoChanged  # noqa: E402
from gallery.runtime import outbox  # noqa: E402
from gallery.runtime.background import background  # noqa: E402
from gallery.runtime.database import Database, Transaction  # noqa: E402
from gallery.runtime.ids import uuid7  # noqa: E402

TOGETHER = 100
"""Facts of one transaction of a backfill."""
WRITERS = 4
WARM = 4_000
PATIENCE = timedelta(minutes=1)
POISON_EVERY = 100
QUIET, BUSY = 20, 200
"""Facts a second, each a transaction."""
LEAST_EVENTS = 3_000


@dataclass(frozen=True, slots=True)
class Stand:
    """What is measured: the writer's end, and where the rest is."""

    database: Database
    servers: str

    async def rows(self, query: str) -> list[dict[str, Any]]:
        """Ask for what the handler has noted."""
        async with self.database.read() as connection:
            return await (await connection.execute(query.format(SCHEMA).encode())).fetchall()

    async def count(self, table: str) -> int:
        """How many effects or dead letters there are."""
        return int((await self.rows(f"SELECT count(*) FROM {{}}.{table}"))[0]["count"])  # noqa: S608  # our own names

    async def until_there(self, table: str, rows: int) -> None:
        """Return once there are so many."""

        async def enough() -> bool:
            return await self.count(table) >= rows

        await until(enough)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while not await condition():  # noqa: ASYNC110  # the change happens in other processes, which set no event
            await asyncio.sleep(0.02)


@contextmanager
def processes(folder: Path) -> Iterator[tuple[str, str]]:
    """Run everything but the writer for the block's time; yields the database's URL and Kafka's address."""
    kafka, postgres = Kafka(folder / "kafka"), Postgres(folder / "postgres")
    with ExitStack() as stack:
        for engine in (kafka, postgres):
            engine.start()
            stack.callback(engine.stop)
        environment = {"GALLERY_DATABASE_URL": postgres.url, "GALLERY_KAFKA_SERVERS": kafka.servers}
        for command in (["gallery-metadata", "migrate"], ["gallery", "topics", "apply"]):
            told = {**os.environ, **environment}
            subprocess.run([BIN / command[0], *command[1:]], env=told, check=True, stdout=subprocess.DEVNULL)
        relay = RoleProcess(("relay", "metadata"), 0, folder=folder, environment=environment)
        words = [sys.executable, str(ROOT / "bench/handling.py"), postgres.url, kafka.servers]
        for process in (relay, EngineProcess(words, log=folder / "handling.log")):
            process.start()
            stack.callback(process.stop)
        relay.wait_until_ready()
        yield postgres.url, kafka.servers


async def say(tx: Transaction, keys: Sequence[str], revision: int) -> None:
    """Say that photos have changed."""
    facts = [outbox.Fact(Topic.CATALOGUE, key, LIBRARY, revision, PhotoChanged(photo_id=key)) for key in keys]
    await outbox.append(tx, *facts)


async def say_unreadable(tx: Transaction, key: str) -> None:
    """Say something that is no fact, as a broken producer would."""
    row = {"id": uuid7(), "topic": Topic.CATALOGUE, "type": PhotoChanged.DESCRIPTOR.full_name, "key": key}
    row |= {"library_id": LIBRARY, "revision": 1, "traceparent": "", "data": b"\xff\xff"}
    await tx.execute(outbox.queries.append_fact, row)
    tx.wake(outbox.CHANNEL)


async def say_many(stand: Stand, name: str, events: int) -> None:
    """Say so many facts as a backfill does, in large transactions, each key twice."""

    async def write(writer: int) -> None:
        for turn in range(events // TOGETHER // WRITERS):
            keys = [f"{name}-{writer}-{turn // 2}-{each}" for each in range(TOGETHER)]
            async with stand.database.transaction(keys=keys) as tx:
                await say(tx, keys, turn)

    async with asyncio.TaskGroup() as group:
        for writer in range(WRITERS):
            group.create_task(write(writer))


async def throughput(stand: Stand, events: int) -> tuple[float, dict[str, float]]:
    """Facts a second from the first commit to the last effect, and CPU milliseconds a fact by process."""
    await say_many(stand, "warm", WARM)
    await stand.until_there("effects", WARM)
    before, began = cpu_by_kind(tree(os.getpid())), time.perf_counter()
    await say_many(stand, "fact", events)
    await stand.until_there("effects", WARM + events)
    ended = time.perf_counter()
    after = cpu_by_kind(tree(os.getpid()))
    return events / (ended - began), {kind: 1000 * (after[kind] - before[kind]) / events for kind in after}


async def check(stand: Stand, events: int) -> None:
    """Hold the effects to what was said."""
    noted = await stand.rows("SELECT key, revision FROM {}.effects ORDER BY n")
    assert len(noted) == events, "quality gate: no effect is missing or there twice"
    newest: dict[str, int] = {}
    for row in noted:
        assert newest.get(row["key"], -1) < row["revision"], "quality gate: each key in its order"
        newest[row["key"]] = row["revision"]


async def paced(rate: float, seconds: float) -> AsyncIterator[int]:
    """Count on at random moments, on average so many a second."""
    chance, clock = random.Random(5), asyncio.get_running_loop().time
    due = clock()
    for number in range(int(rate * seconds)):
        due += chance.expovariate(rate)
        await asyncio.sleep(due - clock())
        yield number


async def commit_to_kafka(stand: Stand, *, rate: float, seconds: float) -> list[float]:
    """Seconds from commit to Kafka of facts that are said one by one."""
    committed: dict[str, float] = {}
    arrived: dict[str, float] = {}

    async def write(key: str) -> None:
        async with stand.database.transaction(keys=[key]) as tx:
            await say(tx, [key], 1)
        committed[key] = time.perf_counter()

    async def read(consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            arrived[record.key.decode()] = time.perf_counter()

    async def all_there() -> bool:
        return committed.keys() <= arrived.keys()

    async with AIOKafkaConsumer(
        Topic.CATALOGUE, bootstrap_servers=stand.servers, isolation_level="read_committed"
    ) as consumer:
        await consumer.seek_to_end()
        async with background(read=read(consumer)), asyncio.timeout(PATIENCE.total_seconds()):
            async with asyncio.TaskGroup() as group:
                async for number in paced(rate, seconds):
                    group.create_task(write(f"paced-{rate}-{number}"))
            await until(all_there)
    return [arrived[key] - at for key, at in committed.items()]


async def handled(stand: Stand, name: str, *, rate: float, seconds: float, poison: bool) -> tuple[list[float], int]:
    """Seconds from fact to effect of sound facts, and how many bad ones were among them."""
    bad = 0
    before = await stand.count("effects")
    async for number in paced(rate, seconds):
        key = f"{name}-{number}"
        if poison and number % POISON_EVERY == 0:
            bad, key = bad + 1, f"bug-{name}-{number}"
        async with stand.database.transaction(keys=[key]) as tx:
            if key.startswith("bug") and number % (2 * POISON_EVERY):
                await say_unreadable(tx, key)
            else:
                await say(tx, [key], 1)
    await stand.until_there("effects", before + int(rate * seconds) - bad)
    delays = "SELECT extract(epoch FROM at - said)::float AS delay FROM {}.effects WHERE key LIKE"
    return [row["delay"] for row in await stand.rows(f"{delays} '{name}-%'")], bad


async def measure(url: str, servers: str, *, events: int, seconds: float) -> tuple[list[Figure], dict[str, Any]]:
    """Measure everything, one after the other."""
    async with Database.open(url, schema="metadata", size=WRITERS) as database:
        stand = Stand(database, servers)
        rate, spent = await throughput(stand, events)
        await check(stand, WARM + events)
        quiet = await commit_to_kafka(stand, rate=QUIET, seconds=seconds)
        busy = await commit_to_kafka(stand, rate=BUSY, seconds=seconds)
        sound, _ = await handled(stand, "sound", rate=BUSY, seconds=seconds, poison=False)
        beside, bad = await handled(stand, "beside", rate=BUSY, seconds=seconds, poison=True)
        await stand.until_there("dead_letters", bad)
    figures = [
        Figure("events through outbox, relay, Kafka and handler", rate, "/s", LEAST_EVENTS, least=True),
        Figure("  CPU an event, all processes", sum(spent.values()), "ms"),
        Figure(f"commit to Kafka p95, {QUIET} facts a second", 1000 * percentile(quiet, 95), "ms", 100),
        Figure(f"commit to Kafka p95, {BUSY} facts a second", 1000 * percentile(busy, 95), "ms", 100),
        Figure(f"fact to effect, longest of {len(sound)}, no poison", max(sound), "s"),
        Figure(f"fact to effect, longest of {len(beside)} beside {bad} poisoned", max(beside), "s"),
        Figure("  what poison adds to the longest", max(beside) - max(sound), "s", 1),
    ]
    return figures, {"cpu_ms_an_event_by_process": spent}


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gallery-events-") as folder, processes(Path(folder)) as (url, servers):
        figures, more = asyncio.run(measure(url, servers, events=options.events, seconds=options.seconds))
    tell("events", figures, **more)


if __name__ == "__main__":
    main()
