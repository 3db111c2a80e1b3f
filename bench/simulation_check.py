"""The simulation beside reality: one gallery, both lanes, predicted and measured.

Usage: python bench/simulation_check.py [--backfill 160] [--interactive 40]

The analyse role is stopped while photos are uploaded, so that uploads do not slow it down. A first import of both lanes
gives its rate, one photo alone its latency. When the lanes of a second, larger one are done is predicted by the
simulation with these two figures and one worker. Limit: 15 % of either time. Writes bench/results/simulation.json.

On a machine that others use, too, a second is not always as long: so times are also told by what the gallery's
processes got, in CPU seconds of all cores. The limit holds for these; on a quiet machine both are nearly the same.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from fair_queue import BACKFILL, INTERACTIVE, Photo  # noqa: E402  # beside this file
from footprint import Connection, database  # noqa: E402
from pipeline import make_photos  # noqa: E402
from process_cost import cpu_seconds, name, tree  # noqa: E402
from simulation import TOGETHER, Scaling, Simulation, Worker  # noqa: E402
from support.command import Gallery, packs  # noqa: E402

Row = dict[str, Any]
"""A photo: the folder that it was in, when it was uploaded, and when its analysis ended."""

FIRST = 30
"""Photos of each lane in the import that gives the rate."""

IDLE_CPU = 0.15
"""CPU seconds of a second in which nothing is done but looking whether there is something to do."""

MOST_ERROR = 0.15
PATIENCE_SECONDS = 300

ENDED = """
    SELECT split_part(f.file, '/', 1) AS part, extract(epoch FROM u.at)::float AS uploaded,
           extract(epoch FROM a.at)::float AS analysed
    FROM upload.file_names f
    JOIN upload.outbox u ON u.key = f.photo_id::text
    JOIN ml_worker.outbox a ON a.key = u.key AND a.type = 'gallery.events.v1.PhotoAnalysed'
    ORDER BY a.at
"""


class Share(threading.Thread):
    """A clock that goes as fast as the gallery gets CPU time: a second of it is one of all cores."""

    def __init__(self, parent: int) -> None:
        """Watch ``parent`` and all below it."""
        super().__init__(daemon=True)
        self._parent = parent
        self._seen: list[tuple[float, float]] = []
        self.done = threading.Event()

    def run(self) -> None:
        """Look until told that it is done."""
        while not self.done.wait(0.1):
            got = sum(cpu_seconds(tree(self._parent)).values())
            self._seen.append((time.time(), got / (os.cpu_count() or 1)))

    def at(self, wall: float) -> float:
        """What it showed at a time in seconds since 1970."""
        walls, shown = zip(*self._seen, strict=True)
        return float(np.interp(wall, walls, shown))


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen.

    Attributes:
        rows: Of all photos.
        first: When the photos of the first import began to be looked at, seconds since 1970.
        second: Likewise.
        share: The other clock.
    """

    rows: list[Row]
    first: float
    second: float
    share: Share


@contextmanager
def paused(process: int) -> Iterator[None]:
    """Stop a process for the block's time."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def import_paused(gallery: Gallery, process: int, *, parent: int, **lanes: Path) -> float:
    """Upload while nobody looks at photos, and let the rest settle; returns when it went on, seconds since 1970."""
    with paused(process):
        for lane, folder in lanes.items():
            gallery.json("import", folder, "--lane", lane, "--no-wait")
        wait_until_idle(parent)
    return time.time()


def wait_until_idle(parent: int) -> None:
    """Return once the gallery does next to nothing."""
    spent = [0.0]
    while len(spent) < 3 or spent[-1] - spent[-2] > IDLE_CPU:
        spent.append(sum(cpu_seconds(tree(parent)).values()))
        time.sleep(1)


def wait_for(connection: Connection, *, analysed: int) -> None:
    """Return once so many photos have been looked at."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(connection.execute(ENDED).fetchall()) < analysed:
        assert time.monotonic() < deadline, "the analyse role does not come along"
        time.sleep(0.2)


def run(gallery: Gallery, folders: Mapping[str, Path], counts: Mapping[str, int]) -> Run:
    """Do both imports."""
    with gallery.up(), database(gallery.data) as connection:
        parent = int(json.loads((gallery.data / "gallery.json").read_text())["pid"])
        share = Share(parent)
        share.start()
        (analyse,) = (pid for pid in tree(parent) if name(pid).endswith("role analyse"))
        gallery.json("import", folders["warm"])
        gallery.json("import", folders["alone"])
        lanes = {"interactive": folders["first_sent"], "backfill": folders["first_filled"]}
        first = import_paused(gallery, analyse, parent=parent, **lanes)
        wait_for(connection, analysed=sum(counts.values()) - counts["interactive"] - counts["backfill"])
        lanes = {"interactive": folders["interactive"], "backfill": folders["backfill"]}
        second = import_paused(gallery, analyse, parent=parent, **lanes)
        wait_for(connection, analysed=sum(counts.values()))
        share.done.set()
        return Run(connection.execute(ENDED).fetchall(), first, second, share)


def of(rows: Sequence[Row], *parts: str) -> list[Row]:
    """The photos of these folders, in the order in which they ended."""
    return [row for row in rows if row["part"] in parts]


def calibrated(rows: Sequence[Row], *, began: float) -> Worker:
    """What one worker does, so that the simulation takes as long as the first import did; and the photo alone."""
    (alone,) = of(rows, "alone")
    latency = alone["analysed"] - alone["uploaded"]
    first = of(rows, "first_sent", "first_filled")
    rate = (len(first) - TOGETHER) / (first[-1]["analysed"] - began - latency)
    return Worker(rate, alone=latency, start_up=0.0)


def predict(rows: Sequence[Row], worker: Worker, *, began: float) -> dict[str, float]:
    """Let the photos of the second import arrive on paper as they did."""
    lanes = {"backfill": BACKFILL, "interactive": INTERACTIVE}
    photos = [Photo(max(row["uploaded"] - began, 0.0), 0, lanes[row["part"]]) for row in of(rows, *lanes)]
    arrivals = ([photo] for photo in sorted(photos))
    outcome = Simulation(worker, Scaling(least=1, most=1)).run(arrivals, until=0.0)
    return {
        "backfill": outcome.backfill_done,
        "interactive": outcome.interactive_done,
        "median_wait": outcome.wait(0.5),
    }


def seen(rows: Sequence[Row], *, began: float) -> dict[str, float]:
    """The same as it was."""
    interactive = [row["analysed"] - began for row in of(rows, "interactive")]
    return {
        "backfill": of(rows, "backfill")[-1]["analysed"] - began,
        "interactive": interactive[-1],
        "median_wait": median(interactive),
    }


def compared(rows: Sequence[Row], *, first: float, second: float) -> dict[str, Any]:
    """The prediction beside what was seen, all by one clock."""
    worker = calibrated(rows, began=first)
    measured, predicted = seen(rows, began=second), predict(rows, worker, began=second)
    error = {key: predicted[key] / measured[key] - 1 for key in measured}
    return {
        "rate": worker.rate,
        "alone": worker.alone,
        "measured": measured,
        "predicted": predicted,
        "error": error,
    }


def folders_of(root: Path, counts: Mapping[str, int]) -> dict[str, Path]:
    """Make photos, and put so many of them into each folder."""
    photos = iter(make_photos(root / "photos", sum(counts.values())))
    folders = {part: root / part for part in counts}
    for part, folder in folders.items():
        (folder / part).mkdir(parents=True)
        for _ in range(counts[part]):
            photo = next(photos)
            photo.rename(folder / part / photo.name)
    return folders


def main() -> int:
    """Measure, predict, compare; returns 1 when they are too far apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backfill", type=int, default=160)
    parser.add_argument("--interactive", type=int, default=40)
    options = parser.parse_args()
    counts = {"warm": 4, "alone": 1, "first_sent": FIRST, "first_filled": FIRST}
    counts |= {"backfill": options.backfill, "interactive": options.interactive}
    with tempfile.TemporaryDirectory(prefix="gallery-simulation-") as folder:
        root = Path(folder)
        folders = folders_of(root, counts)
        load = os.getloadavg()[0]
        found = run(Gallery(root / "data", packs(SHARED), patience_seconds=600), folders, counts)
    at = found.share.at
    by_share = [row | {key: at(row[key]) for key in ("uploaded", "analysed")} for row in found.rows]
    figures: dict[str, Any] = {
        "load_before": load,
        "wall": compared(found.rows, first=found.first, second=found.second),
        "share": compared(by_share, first=at(found.first), second=at(found.second)),
        "most_error": MOST_ERROR,
    }
    print(json.dumps(figures, indent=2))
    results = ROOT / "bench/results"
    results.mkdir(exist_ok=True)
    (results / "simulation.json").write_text(json.dumps(figures, indent=2))
    return int(any(abs(figures["share"]["error"][key]) > MOST_ERROR for key in ("backfill", "interactive")))


if __name__ == "__main__":
    sys.exit(main())
