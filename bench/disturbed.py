"""What a death and a backfill cost those who wait for their photos, in the distributed profile.

Usage: python bench/disturbed.py [--live 30] [--runtime openvino]

Recovery: each process is killed in turn, one of its role and started again at once, as whoever runs it would; the time
is from the kill until the photos that were on their way at that moment, and one uploaded after it, can be found, their
way itself included. Backfill: one library sends typical photos so fast that its queue is never empty, while another
uploads some live ones, one after the other. Of such a backfill it does not matter how much is still to come: the run
ends with the live photos, and says how many photos of the backfill were looked at meanwhile, and the shortest queue
that was seen. Writes bench/results/disturbed.json.
"""

import argparse
import itertools
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import httpx

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from goals import Figure, percentile, tell  # noqa: E402  # beside this file
from pipeline import make_photos  # noqa: E402
from process_cost import cpu_seconds  # noqa: E402
from support.command import packs  # noqa: E402
from support.distributed import Distributed  # noqa: E402
from watching import MATCHED, SEARCHABLE, Watched, distributed  # noqa: E402

PHOTOS = 40
"""Different ones; a byte more behind the end makes another photo of each."""
QUEUED = 50
"""Photos of the backfill that wait at least, before and while live ones come."""
WARM = 5
"""Photos that go through before anything is measured."""
MOST_RECOVERY = 10.0
MOST_DELAY = 2.0

QUEUE = "SELECT count(*) AS waiting FROM ml_worker.work WHERE stage = 'analyse' AND lane = 'backfill'"
LOOKED_AT = "SELECT count(*) AS photos FROM ml_worker.photos WHERE library_id = %s AND state <> 'pending'"


class Photos:
    """As many different photos as one wants."""

    def __init__(self, folder: Path) -> None:
        """Make some."""
        some = itertools.cycle([path.read_bytes() for path in make_photos(folder, PHOTOS)])
        self._more = (photo + number.to_bytes(4) for number, photo in enumerate(some))
        self._lock = threading.Lock()

    def one(self) -> bytes:
        """Return another one."""
        with self._lock:
            return next(self._more)


def recovery(gallery: Watched, processes: Distributed, photos: Photos) -> dict[str, float]:
    """Seconds from the kill of each process until all is as if it had not been."""
    gallery.wait([gallery.upload(photos.one()) for _ in range(WARM)], SEARCHABLE)
    chance, seconds = random.Random(7), {}
    for process in processes.all():
        under_way = [gallery.upload(photos.one()) for _ in range(3)]
        time.sleep(chance.uniform(0, 1))
        killed = time.perf_counter()
        process.kill()
        process.start()
        gallery.wait([*under_way, gallery.upload(photos.one())], SEARCHABLE)
        seconds[process.name] = time.perf_counter() - killed
        process.wait_until_ready()
    return seconds


class Library:
    """A library of somebody else's, at the upload service's door."""

    def __init__(self, gallery: Watched, address: str, *, lane: str) -> None:
        """Begin one.

        Args:
            gallery: Where.
            address: Of the upload service.
            lane: Of its uploads.
        """
        self.id = uuid4()
        self._gallery = gallery
        self._lane = {"x-gallery-lane": lane}
        self._client = httpx.Client(base_url=f"{address}/internal/v1/libraries/{self.id}", timeout=60)

    def upload(self, photo: bytes) -> UUID:
        """Upload a photo."""
        answer = self._client.post("/uploads", content=photo, headers=self._lane)
        return UUID(answer.raise_for_status().json()["photo_id"])

    def seconds_to_matched(self, photo: bytes) -> float:
        """From the first byte of an upload until its faces are matched."""
        began = time.perf_counter()
        self._gallery.wait([self.upload(photo)], MATCHED)
        return time.perf_counter() - began


class Backfill(threading.Thread):
    """Keeps its queue filled.

    Attributes:
        shortest: Photos that waited at least, once it was full.
    """

    def __init__(self, library: Library, gallery: Watched, photos: Photos) -> None:
        super().__init__(daemon=True)
        self.library = library
        self.shortest = 0
        self.full, self.done = threading.Event(), threading.Event()
        self._gallery = gallery
        self._photos = photos

    def run(self) -> None:
        """Send as long as told to, with a short rest while enough is waiting."""
        while not self.done.is_set():
            waiting = self._gallery.count(QUEUE)
            self.shortest = min(self.shortest, waiting) if self.full.is_set() else waiting
            if waiting < 2 * QUEUED:
                self.library.upload(self._photos.one())
            else:
                self.full.set()
                self.done.wait(0.2)


@contextmanager
def filling(library: Library, gallery: Watched, photos: Photos) -> Iterator[Backfill]:
    """Have a backfill under way while the block is open."""
    backfill = Backfill(library, gallery, photos)
    backfill.start()
    try:
        assert backfill.full.wait(300), "the queue does not fill"
        yield backfill
    finally:
        backfill.done.set()
        backfill.join()


def in_turn(live: Library, photos: Photos, number: int) -> list[float]:
    """Upload live photos one after the other, at random moments; returns the seconds of each."""
    chance, seconds = random.Random(3), []
    for _ in range(number):
        seconds.append(live.seconds_to_matched(photos.one()))
        time.sleep(chance.uniform(0, 1))
    return seconds


def cpu_of_all(gallery: Watched) -> float:
    """Seconds that all processes of a gallery have used, its engines included."""
    return sum(cpu_seconds(gallery.processes()).values())


def beside_a_backfill(gallery: Watched, address: str, photos: Photos, number: int) -> list[Figure]:
    """Upload live photos to the upload service, first alone, then beside the backfill of another library."""
    live, many = (Library(gallery, address, lane=lane) for lane in ("interactive", "backfill"))
    alone = percentile(in_turn(live, photos, number), 95)
    with filling(many, gallery, photos) as backfill:
        done, spent, began = gallery.count(LOOKED_AT, many.id), cpu_of_all(gallery), time.perf_counter()
        beside = percentile(in_turn(live, photos, number), 95)
        done, spent = gallery.count(LOOKED_AT, many.id) - done, cpu_of_all(gallery) - spent
        took = time.perf_counter() - began
    return [
        Figure("live upload to faces matched, p95, alone", alone, "s"),
        Figure(f"  beside a backfill, {done} photos of it meanwhile", beside, "s"),
        Figure("  what the backfill adds", beside - alone, "s", MOST_DELAY),
        Figure("  photos of the backfill that waited, at least", backfill.shortest, "", QUEUED, least=True),
        Figure("  photos a second of both", (done + number) / took, "/s"),
        Figure("  CPU a photo of both, all processes", 1000 * spent / (done + number), "ms"),
    ]


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", type=int, default=30)
    parser.add_argument("--runtime", default="openvino")
    options = parser.parse_args()
    settings = {**packs(SHARED), "GALLERY_RUNTIME": options.runtime}
    with tempfile.TemporaryDirectory(prefix="gallery-disturbed-") as folder:
        root = Path(folder)
        photos = Photos(root / "photos")
        with distributed(root / "gallery", settings) as (gallery, processes):
            address = processes.processes["upload-serve"][0].url
            deaths = recovery(gallery, processes, photos)
            figures = beside_a_backfill(gallery, address, photos, options.live)
    killed = f"recovery from the kill of any of {len(deaths)} processes"
    figures.insert(0, Figure(killed, max(deaths.values()), "s", MOST_RECOVERY))
    tell("disturbed", figures, recovery_seconds=dict(sorted(deaths.items(), key=lambda pair: -pair[1])))


if __name__ == "__main__":
    main()
