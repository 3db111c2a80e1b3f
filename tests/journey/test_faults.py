"""A gallery of many processes under faults: nothing lost, nothing twice, nothing older wins, poison set aside.

Photos are uploaded without a pause while processes are killed and frozen, engines are restarted, and links go bad; some
facts come twice, some records are garbage. A journal says what was acknowledged; in the end every store is held to it.
``make test-engines`` runs some minutes of it, ``make soak`` hundreds of faults. The seed tells the run; it is printed.
"""

import asyncio
import hashlib
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from PIL import Image
from psycopg.rows import dict_row
from support.distributed import TOKEN, Distributed, Engines
from support.faults import Saboteur, Step, linked, schedule
from support.pictures import saved

from gallery.adapters.kafka_records import to_message, to_record
from gallery.events.topics import Topic
from gallery.events.v1.uploads_pb2 import PhotoUploaded
from gallery.ports.bus import Message
from gallery.runtime.ids import uuid7

FAULTS = int(os.environ.get("GALLERY_TEST_FAULTS", "60"))
SEED = int(os.environ.get("GALLERY_TEST_SEED", "2026"))
POISON = b"\xff\xff is no protobuf"
POISON_SHARE = 0.01
COUNTS = {"upload-serve": 2, "metadata-consume": 2, "ml-worker-consume": 2, "search-consume": 2, "ml-worker-analyse": 2}
UPLOADS_A_SECOND = 3.0
SETTLES_WITHIN_SECONDS = 300
ADDRESSES = {"S3_ENDPOINT": "s3", "ELASTIC_URL": "elasticsearch"}
"""Settings that name an engine which is reached over a link that goes bad."""

OLD_DOCUMENTS = """
    SELECT photo_id FROM search.documents JOIN metadata.photos ON id = photo_id
    WHERE catalogue_revision < photos.revision
"""
SAID_LATE = """
    SELECT * FROM (
        SELECT key, revision, lag(revision) OVER (PARTITION BY topic, key ORDER BY epoch, xid, seq) AS before
        FROM metadata.outbox
    ) AS said
    WHERE before >= revision
"""

pytestmark = pytest.mark.engine


def picture(number: int) -> bytes:
    """A small photo like no other."""
    pixels = np.random.default_rng(number).integers(0, 255, (72, 96, 3), np.uint8)
    return saved(Image.fromarray(pixels), "JPEG", quality=70)


@dataclass
class Feeder:
    """Uploads without a pause, again and again until each photo is acknowledged.

    Attributes:
        journal: sha256 of every acknowledged photo, with the id that it got.
        poison: Ids of events that nobody can handle.
    """

    gallery: Distributed
    journal: dict[bytes, UUID] = field(default_factory=dict)
    poison: set[UUID] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """Upload from a thread for the block's time."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self.done.set()
            thread.join()

    def _run(self) -> None:
        chance, number = random.Random(SEED), 0
        address = f"{self.gallery.gateway}/api/v1/uploads"
        with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}, timeout=20) as client:
            while not self.done.is_set():
                number += 1
                self._upload(client, address, picture(SEED * 1_000_000 + number))
                if chance.random() < POISON_SHARE:
                    self._poison()
                self.done.wait(1 / UPLOADS_A_SECOND)

    def _upload(self, client: httpx.Client, address: str, content: bytes) -> None:
        digest = hashlib.sha256(content).digest()
        while True:
            try:
                answer = client.post(address, files={"file": (f"{digest.hex()[:8]}.jpg", content)})
            except httpx.TransportError as error:
                self.refused[type(error).__name__] += 1
            else:
                if answer.is_success and (photo := answer.json()["uploads"][0].get("photo")):
                    self.journal[digest] = UUID(photo)
                    return
                self.refused[str(answer.status_code)] += 1
            time.sleep(0.5)

    def _poison(self) -> None:
        """Put a fact into Kafka that says it is something else than it is, as a broken producer would."""
        message = Message(
            id=uuid7(),
            topic=Topic.UPLOADS,
            type=PhotoUploaded.DESCRIPTOR.full_name,
            key=str(uuid4()),
            library_id=uuid4(),
            revision=1,
            at=datetime.now(UTC),
            data=POISON,
        )
        with suppress(TimeoutError, KafkaError):  # nobody knows then whether it is there
            asyncio.run(publish(self.gallery.engines.kafka.servers, [message]))
            self.poison.add(message.id)


async def publish(servers: str, messages: Sequence[Message]) -> None:
    """Put facts into Kafka behind the relays' back."""
    async with asyncio.timeout(10), AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for message in messages:
            await producer.send_and_wait(message.topic, **to_record(message))


async def repeat_everything(servers: str) -> int:
    """Say all facts a second time, from the first on; how many there were."""
    messages: list[Message] = []
    async with AIOKafkaConsumer(*Topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        while found := await consumer.getmany(timeout_ms=3000):
            messages += [
                to_message(record, topic=partition.topic) for partition, some in found.items() for record in some
            ]
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for message in messages:
            await producer.send(message.topic, **to_record(message))
    return len(messages)


@dataclass
class Checker:
    """Holds every store to the journal."""

    gallery: Distributed

    def ask(self, path: str, *, method: str = "GET") -> Any:
        """Ask the public API."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        answer = httpx.request(method, f"{self.gallery.gateway}/api/v1{path}", headers=headers, timeout=60)
        return answer.raise_for_status().json()

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Ask the database."""
        with psycopg.connect(self.gallery.engines.postgres.url, row_factory=dict_row) as connection:
            return connection.execute(query.encode()).fetchall()

    def settle(self, photos: int) -> float:
        """Wait until every photo has ended; how long the oldest stage had been pending at most, seconds."""
        deadline, oldest = time.monotonic() + SETTLES_WITHIN_SECONDS, 0.0
        while time.monotonic() < deadline:
            status = self.ask("/status")
            oldest = max(oldest, status["oldest_pending_seconds"] or 0.0)
            pending = sum(stage["pending"] for stage in status["stages"].values())
            if status["photos"] == photos and not pending and not status["search"]["pending"]:
                return oldest
            time.sleep(0.5)
        raise AssertionError(f"not settled: {self.ask('/status')}")

    def check_originals(self, journal: Mapping[bytes, UUID]) -> None:
        """Each acknowledged photo is there once, under the id that was told, with its bytes."""
        stored = self.rows("SELECT sha256, photo_id FROM upload.originals")
        assert {bytes(row["sha256"]): row["photo_id"] for row in stored} == dict(journal)
        assert len(stored) == len(journal)
        assert self.ask("/verify", method="POST")["findings"] == []

    def check_catalogue(self, journal: Mapping[bytes, UUID]) -> None:
        """Each has one row with every stage done, and is found as it is now."""
        assert self.ask("/status")["consistent"]
        ids = {row["id"] for row in self.rows("SELECT id FROM metadata.photos WHERE uploaded_at IS NOT NULL")}
        assert ids == set(journal.values())
        assert self.rows("SELECT DISTINCT state FROM metadata.ledger") == [{"state": "done"}]
        assert self.rows(OLD_DOCUMENTS) == []
        assert self.ask("/search?q=date:1900..2100&limit=1")["total"] == len(journal)

    def check_facts(self) -> None:
        """No revision of a photo is said twice, and none after a newer one."""
        assert self.rows(SAID_LATE) == []

    def check_dead_letters(self, poison: set[UUID]) -> None:
        """All poison is set aside, once for each who heard it, and nothing else is."""
        for schema in ("metadata", "ml_worker"):
            letters = self.rows(f"SELECT event_id, data FROM {schema}.dead_letters")  # noqa: S608  # our own names
            assert {bytes(letter["data"]) for letter in letters} <= {POISON}
            assert {letter["event_id"] for letter in letters} >= poison
        assert self.rows("SELECT 1 FROM search.dead_letters") == []


def test_faults_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    engines = Engines.in_folder(tmp_path / "engines")
    with (
        engines.running(),
        linked({"s3": engines.s3.port, "elasticsearch": port_of(engines.elasticsearch.url)}) as links,
    ):
        settings = {f"GALLERY_{name}": f"http://127.0.0.1:{links[link].port}" for name, link in ADDRESSES.items()}
        gallery = Distributed(tmp_path, engines, settings)
        with gallery.running(COUNTS):
            steps = schedule(
                SEED,
                FAULTS,
                processes=[process.name for process in gallery.all()],
                links=[f"link to {name}" for name in links],
                engines=list(engines.by_name()),
            )
            feeder, checker = Feeder(gallery), Checker(gallery)
            saboteur = Saboteur(gallery, links={f"link to {name}": link for name, link in links.items()})
            with feeder.feeding():
                saboteur.carry_out(steps)
            repeated = asyncio.run(repeat_everything(engines.kafka.servers))
            oldest = checker.settle(len(feeder.journal))
            tell(feeder, steps, saboteur, repeated=repeated, oldest=oldest)
            checker.check_originals(feeder.journal)
            checker.check_catalogue(feeder.journal)
            checker.check_facts()
            checker.check_dead_letters(feeder.poison)


def port_of(url: str) -> int:
    port = httpx.URL(url).port
    assert port is not None
    return port


def tell(feeder: Feeder, steps: Sequence[Step], saboteur: Saboteur, *, repeated: int, oldest: float) -> None:
    """Say what happened, for whoever reads the run."""
    kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(Counter(step.kind for step in steps).items()))
    print(f"\nseed {SEED}: {len(feeder.journal)} photos acknowledged, {len(steps)} faults: {kinds}")  # noqa: T201  # for whoever reads the run
    print(f"uploads that had to be repeated: {dict(feeder.refused)}; ended by themselves: {dict(saboteur.ended)}")  # noqa: T201  # for whoever reads the run
    print(f"{len(feeder.poison)} poisoned, {repeated} facts said twice, oldest pending stage {oldest:.0f} s")  # noqa: T201  # for whoever reads the run
