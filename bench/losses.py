"""What faults cost a plain loop over Kafka, and what they cost the same work with the gallery's outbox and inbox.

Usage: python bench/losses.py [--faults 60] [--seed 2026]

A writer changes rows and tells of each change; two members of a group write what they hear and tell of it; another one
writes that. All of them are killed, frozen for moments and for longer than a session, and whoever ends by itself is
started again; Kafka and Postgres are killed and started again; the way to Kafka is slow, cut, silent. Both loops get
the same schedule, from the same seed. At the end some records come a second time, and when all is still, every change
that was committed is looked for. Real engines, made anew for each loop. Writes bench/results/losses.json.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

import psycopg  # noqa: E402
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # noqa: E402
from loops import prepare  # noqa: E402  # beside this file
from support.engines.kafka import Kafka  # noqa: E402
from support.engines.postgres import Postgres  # noqa: E402
from support.engines.process import EngineProcess  # noqa: E402
from support.faults import Saboteur, Step, Victims, kinds_of_faults, linked, schedule  # noqa: E402
from support.kafka_cluster import fresh_cluster  # noqa: E402

from gallery.adapters.kafka_cluster import KafkaCluster  # noqa: E402
from gallery.events.topics import Topic  # noqa: E402

KINDS = ("plain", "gallery")
PROCESSES = {"writer": "writer", "first-0": "first", "first-1": "first", "second-0": "second"}
"""Their names, and what they do."""
SAID_AGAIN = 100
"""Records of each topic."""
STILL_AFTER_SECONDS = 20
"""Longer than a session and a pause between attempts."""
PATIENCE_SECONDS = 240
WARM = 200
"""Changes; the first assignment of partitions is over then."""

LOST = """
    SELECT count(*) FROM (
        SELECT key, revision FROM said EXCEPT SELECT key, revision FROM effects WHERE listener = %(listener)s
    ) AS missing
"""
DOUBLED = """
    SELECT coalesce(sum(times - 1), 0) FROM (
        SELECT count(*) AS times FROM effects WHERE listener = %(listener)s GROUP BY key, revision
    ) AS each
"""
OLDER = """
    SELECT count(*) FROM latest
    JOIN (SELECT key, max(revision) AS revision FROM said GROUP BY key) AS newest USING (key)
    WHERE listener = %(listener)s AND latest.revision < newest.revision
"""


@dataclass(frozen=True, slots=True)
class Losses:
    """What became of the changes that were committed.

    Attributes:
        lost: Without effect.
        doubled: Effects beside the first one.
        older: Keys whose last effect is of an older revision than their newest.
    """

    said: int
    lost: Mapping[str, int]
    doubled: Mapping[str, int]
    older: Mapping[str, int]
    faults: Mapping[str, int]
    ended: Mapping[str, int]


class Loop(EngineProcess):
    """One process of a loop."""

    def is_ready(self) -> bool:
        """It tells nobody; what it does is looked for in the tables."""
        return True


@contextmanager
def running(kind: str, folder: Path, url: str, cluster: KafkaCluster) -> Iterator[dict[str, Loop]]:
    """Run the processes of a loop for the block's time."""
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT / "bench")])}
    with ExitStack() as stack:
        processes = {}
        for name, role in PROCESSES.items():
            words = [sys.executable, str(ROOT / "bench/loops.py"), kind, role, url, cluster.servers, cluster.prefix]
            processes[name] = Loop(words, log=folder / f"{name}.log", environment=environment)
            processes[name].start()
            stack.callback(processes[name].stop)
        yield processes


def suffer(kind: str, folder: Path, *, seed: int, faults: int) -> Losses:
    """Let one kind of loop go through a schedule of faults."""
    with ExitStack() as stack:
        kafka, postgres = Kafka(folder / "kafka"), Postgres(folder / "postgres")
        links = stack.enter_context(linked({"link to kafka": kafka.port}))
        kafka.advertise(links["link to kafka"].port)
        for engine in (kafka, postgres):
            engine.start()
            stack.callback(engine.stop)
        asyncio.run(prepare(postgres.url))
        cluster = asyncio.run(fresh_cluster(kafka.servers, topics=[Topic.CATALOGUE, Topic.SEARCH], partitions=6))
        processes = stack.enter_context(running(kind, folder, postgres.url, cluster))
        victims = Victims(processes, {"kafka": kafka, "postgres": postgres}, links, {})
        steps = planned(seed, faults)
        saboteur = Saboteur(victims)
        wait_until_begun(postgres.url)
        saboteur.carry_out(steps)
        with psycopg.connect(postgres.url) as connection:
            connection.execute("INSERT INTO over VALUES (now())")
        for topic in (Topic.CATALOGUE, Topic.SEARCH):
            asyncio.run(say_again(cluster.servers, cluster.called(topic), random.Random(seed)))
        wait_until_still(postgres.url, saboteur)
        return counted(postgres.url, steps, saboteur)


def planned(seed: int, faults: int) -> list[Step]:
    """Tell what happens when; the same for both kinds of loop."""
    kinds = kinds_of_faults(
        processes=list(PROCESSES), engines=["kafka", "postgres"], links=["link to kafka"], http=[], disks=[]
    )
    return schedule(seed, faults, kinds)


async def say_again(servers: str, topic: str, chance: random.Random) -> None:
    """Put some of a topic's records there a second time."""
    records = []
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        while found := await consumer.getmany(timeout_ms=3000):
            records += [record for several in found.values() for record in several]
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for record in chance.sample(records, min(SAID_AGAIN, len(records))):
            await producer.send_and_wait(topic, key=record.key, value=record.value, headers=list(record.headers))


def wait_until_begun(url: str) -> None:
    """Wait until changes have come through."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while number(url, "SELECT count(*) FROM effects WHERE listener = 'second'") < WARM:
        assert time.monotonic() < deadline, "nothing comes through"
        time.sleep(0.5)


def wait_until_still(url: str, saboteur: Saboteur) -> None:
    """Wait until no effect has come for a while; those that end meanwhile are started again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    known, since = -1, time.monotonic()
    while time.monotonic() < min(deadline, since + STILL_AFTER_SECONDS):
        saboteur.look_after()
        now = number(url, "SELECT count(*) FROM effects")
        if now != known:
            known, since = now, time.monotonic()
        time.sleep(0.5)


def number(url: str, query: str, **parameters: str) -> int:
    """Ask for one number."""
    with psycopg.connect(url) as connection:
        ((found,),) = connection.execute(query.encode(), parameters).fetchall()
    return int(found)


def counted(url: str, steps: Sequence[Step], saboteur: Saboteur) -> Losses:
    """Compare what was committed with what came of it."""

    def by_listener(query: str) -> dict[str, int]:
        return {listener: number(url, query, listener=listener) for listener in ("first", "second")}

    return Losses(
        said=number(url, "SELECT count(*) FROM said"),
        lost=by_listener(LOST),
        doubled=by_listener(DOUBLED),
        older=by_listener(OLDER),
        faults=dict(Counter(step.kind for step in steps)),
        ended=dict(saboteur.ended),
    )


def table(results: Mapping[str, Losses]) -> str:
    """Render the results for docs and terminal."""
    lines = ["| | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
    for what in ("said", "lost", "doubled", "older", "ended"):
        told = [getattr(results[kind], what) for kind in KINDS]
        lines.append(f"| {what} | " + " | ".join(_cell(each) for each in told) + " |")
    return "\n".join(lines)


def _cell(told: int | Mapping[str, int]) -> str:
    return str(told) if isinstance(told, int) else ", ".join(f"{name} {number}" for name, number in told.items())


def main() -> None:
    """Let both loops suffer, and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2026)
    given = parser.parse_args()
    results = {}
    for kind in KINDS:
        with tempfile.TemporaryDirectory(prefix="gallery-losses-") as folder:
            results[kind] = suffer(kind, Path(folder), seed=given.seed, faults=given.faults)
        print(f"{kind}: {results[kind]}", flush=True)
    print(f"seed {given.seed}, {given.faults} faults\n{table(results)}")
    out = ROOT / "bench/results"
    out.mkdir(exist_ok=True)
    told = {"seed": given.seed, **{kind: asdict(each) for kind, each in results.items()}}
    (out / "losses.json").write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
