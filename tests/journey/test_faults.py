"""A gallery of many processes under faults: nothing lost, nothing twice, nothing older wins, poison set aside.

Photos are uploaded without a pause while processes are killed and frozen, engines are restarted, links go bad and the
disk of the originals is full; all facts come twice, some records are garbage, and some photos meet a mistake in the
program, which is mended at the end, when they are replayed. A journal says what was acknowledged; in the end every
store is held to it. ``make test-engines`` runs some minutes of it, ``make soak`` hundreds of faults. The seed tells the
run; it is printed with a table.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
import pytest
from support import poison
from support.disks import small_disk_where_allowed
from support.distributed import BUCKET, TOKEN, Distributed, Engines
from support.engines.process import port_of
from support.facts_again import repeat_everything
from support.fault_checks import Checker
from support.fault_letters import Letters
from support.fault_report import STILL_AT_MOST_SECONDS, Progress, Report, seconds_of, shares_of
from support.faults import Kind, Saboteur, Step, Victims, kinds_of_faults, linked, schedule
from support.generating import FIRST, Generator, file
from support.poison import SERVICES, garbage, garbled, struck, throw_in
from support.tcp_faults import TcpFaults
from support.uploading import UPLOADERS, Acknowledged, Feeder, picture

FAULTS = int(os.environ.get("GALLERY_TEST_FAULTS", "60"))
PHOTOS = int(os.environ.get("GALLERY_TEST_FAULTS_PHOTOS", "0"))
"""At least so many, of which nine in ten are generated: facts without an upload and without a look. Without a number,
all are real, and as many as go through meanwhile.
"""
GENERATED = PHOTOS * 9 // 10
SEED = int(os.environ.get("GALLERY_TEST_SEED", "2026"))
COUNTS = {"upload-serve": 2, "metadata-consume": 2, "ml-worker-consume": 2, "search-consume": 2, "ml-worker-analyse": 2}
AFTER = 40
"""Photos that come when all faults are over."""
ON_THE_WAY = 300
"""Photos; more would only wait, and nobody could tell a queue from a fault."""
LOOK_EVERY_SECONDS = 0.5
DISK = "2g"
MOST_PICTURES = 10_000
LIBRARY = "SELECT library_id FROM gateway.owners"

pytestmark = pytest.mark.engine


@dataclass
class Scene:
    """A gallery and all that can be harmed of it."""

    gallery: Distributed
    victims: Victims

    def kinds(self) -> list[Kind]:
        """What can happen here."""
        return kinds_of_faults(
            processes=list(self.victims.processes),
            engines=list(self.victims.engines),
            links=list(self.victims.links),
            http=["link to s3"],
            disks=list(self.victims.disks),
        )


@contextmanager
def staged(folder: Path) -> Iterator[Scene]:
    """Run a gallery over engines of its own, three of them behind links, one on a small disk, for the block's time."""
    with ExitStack() as stack:
        disk = folder / "engines/s3"
        disk.mkdir(parents=True)
        mounted = stack.enter_context(small_disk_where_allowed(disk, size=DISK))
        engines = Engines.in_folder(folder / "engines")
        ports = {
            "kafka": engines.kafka.port,
            "s3": engines.s3.port,
            "elasticsearch": port_of(engines.elasticsearch.url),
        }
        links = stack.enter_context(linked(ports))
        engines.kafka.advertise(links["kafka"].port)
        stack.enter_context(engines.running())
        gallery = Distributed(folder, engines, _by_links(links))
        stack.enter_context(gallery.running(COUNTS))
        victims = Victims(
            processes={process.name: process for process in gallery.all()},
            engines=dict(engines.by_name()),
            links={f"link to {name}": link for name, link in links.items()},
            disks={"disk of s3": disk} if mounted else {},
        )
        yield Scene(gallery, victims)


def _by_links(links: Mapping[str, TcpFaults]) -> dict[str, str]:
    """Settings that name the links in place of the engines."""
    return {
        "GALLERY_KAFKA_SERVERS": f"127.0.0.1:{links['kafka'].port}",
        "GALLERY_S3_ENDPOINT": f"http://127.0.0.1:{links['s3'].port}",
        "GALLERY_ELASTIC_URL": f"http://127.0.0.1:{links['elasticsearch'].port}",
    }


class Road:
    """How many photos are on their way through the gallery."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._found = 0
        self._looked = -LOOK_EVERY_SECONDS

    def is_full(self, acknowledged: int) -> bool:
        """Whether enough are; while nobody can tell, what was seen last counts."""
        if time.monotonic() > self._looked + LOOK_EVERY_SECONDS:
            self._looked = time.monotonic()
            with suppress(psycopg.OperationalError), psycopg.connect(self._url, connect_timeout=5) as connection:
                ((self._found,),) = connection.execute("SELECT count(*) FROM search.documents").fetchall()
        return acknowledged - self._found > ON_THE_WAY


@dataclass
class Crowd:
    """All who bring photos, into one journal, and throw garbage in beside."""

    feeder: Feeder
    generator: Generator

    @classmethod
    def of(cls, gallery: Distributed) -> "Crowd":
        """Prepare, and let some of the photos meet a mistake."""
        engines, journal = gallery.engines, dict[bytes, Acknowledged]()
        road = Road(engines.postgres.url)

        def throw_garbage_in(number: int) -> None:
            if garbled(number):
                throw_in(engines.kafka.servers, garbage(SEED, number))

        def has_its_share(real: int) -> bool:
            enough = len(journal) < PHOTOS and real > len(journal) // 10 + UPLOADERS
            return enough or road.is_full(len(journal))

        feeder = Feeder(gallery.gateway, TOKEN, SEED, has_its_share, throw_garbage_in, journal)
        with psycopg.connect(engines.postgres.url) as connection:
            ((library,),) = connection.execute(LIBRARY).fetchall()
        bucket, full = engines.s3.data / BUCKET, lambda: road.is_full(len(journal))
        generator = Generator(engines.postgres.url, bucket, library, SEED, full, throw_garbage_in, journal)
        real = ((number, partial(picture, SEED)) for number in range(MOST_PICTURES))
        others = ((number, partial(file, SEED)) for number in range(FIRST, FIRST + GENERATED))
        poison.plant(engines.postgres.url, [*real, *others])
        return cls(feeder, generator)

    @property
    def journal(self) -> Mapping[bytes, Acknowledged]:
        """All photos that were acknowledged."""
        return self.feeder.journal

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Bring photos for the block's time, and generate all that are to be generated."""
        with self.feeder.feeding(), ThreadPoolExecutor(1) as thread:
            generating = thread.submit(self.generator.write, GENERATED)
            yield
            generating.result()


def letters_of(checker: Checker, crowd: Crowd) -> Letters:
    """What has to be set aside of what came."""
    photos = crowd.journal.values()
    by_service = {service: {each.photo for each in photos if struck(each.number) == service} for service in SERVICES}
    return Letters(checker, by_service, {garbage(SEED, each.number).id for each in photos if garbled(each.number)})


def harm(scene: Scene, steps: Sequence[Step], crowd: Crowd) -> Saboteur:
    """Let photos come while all this happens, and until there are enough, some of them after the last fault."""
    saboteur = Saboteur(scene.victims)
    with crowd.coming():
        saboteur.carry_out(steps)
        enough = max(PHOTOS, len(crowd.journal) + AFTER)
        while len(crowd.journal) < enough:
            saboteur.look_after()
            time.sleep(LOOK_EVERY_SECONDS)
    return saboteur


def put_right(scene: Scene, checker: Checker, letters: Letters) -> int:
    """Say everything twice, mend the mistake, and have handled what it had stopped; how many facts were said twice."""
    letters.wait_for_poison()
    repeated = asyncio.run(repeat_everything(scene.gallery.engines.kafka.servers))
    checker.settle(but=letters.all_struck)
    poison.mend(scene.gallery.engines.postgres.url)
    letters.replay_parked()
    letters.replay_garbage()
    checker.settle()
    return repeated


def test_faults_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    report = Report()
    with staged(tmp_path) as scene:
        steps = schedule(SEED, FAULTS, scene.kinds())
        crowd, began = Crowd.of(scene.gallery), time.monotonic()
        saboteur = harm(scene, steps, crowd)
        came_in = time.monotonic() - began
        ids = {digest: each.photo for digest, each in crowd.journal.items()}
        checker = Checker(scene.gallery, ids, generated=GENERATED)
        letters = letters_of(checker, crowd)
        repeated = put_right(scene, checker, letters)
        progress = Progress.of(checker)
        still = progress.stillness(saboteur.downs, but=letters.all_struck)
        for people in scene.gallery.processes["ml-worker-people"]:
            people.stop()  # only one process may read its vectors

        report.figures(
            {
                "seed": SEED,
                "photos, and the seconds in which they came": f"{len(ids)}, {came_in:.0f}",
                "of them generated": GENERATED,
                "facts of them, and facts said a second time": f"{progress.facts}, {repeated}",
                "uploads sent again, by what came back": dict(crowd.feeder.refused),
                "processes that ended by themselves": dict(saboteur.ended),
                "poison: facts that are garbage": len(letters.garbage),
                "poison: photos that met a mistake, mended and replayed": len(letters.all_struck),
                "parked beside poison, and replayed": dict(Counter(letters.innocent)),
                "engines down, seconds in all": f"{seconds_of(saboteur.downs):.0f}",
                "a photo stood still, seconds with all engines up: median, p95, max": shares_of(still, between=", "),
            }
        )
        report.faults(steps, progress.recoveries(saboteur.healed, saboteur.downs))
        report.checks(
            {
                "0 lost: a row of each, under the id that was told, said once": checker.check_originals,
                "0 lost: each original and rendition in the bucket, byte for byte": checker.check_blobs,
                "0 twice: each analysed, resolved and counted once, every stage done": checker.check_catalogue,
                "0 older: no revision said twice, or after a newer one": checker.check_facts,
                "0 older: Postgres and Elasticsearch have the newest documents": checker.check_index,
                "vectors: each face finds itself, and there are no others": checker.check_vectors,
                "all poison in dead letters, replayable, and nothing else": letters.check,
                "no photo stood still for 60 s unless parked": lambda: check_progress(still),
            }
        )
    print(report)  # noqa: T201  # for whoever reads the run
    assert report.failed == []


def check_progress(still: Sequence[float]) -> None:
    """Nothing stood still for too long."""
    late = sorted(seconds for seconds in still if seconds > STILL_AT_MOST_SECONDS)
    assert not late, f"{len(late)} photos stood still, for {late[-1]:.0f} s at most"
