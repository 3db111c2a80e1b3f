"""From upload to searchable, against the plain sum of its parts in the same run.

Usage: python bench/pipeline.py [--photos 120] [--runtime openvino ...]

Prints, for each runtime of the networks, photos a second, CPU milliseconds a photo by process, and the proportional
memory of the whole tree, each beside its limit; writes bench/results/pipeline.json. Quality gate: every photo done, and
its face found.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from process_cost import cpu_by_kind, proportional_memory, tree  # noqa: E402  # beside this file
from sum_of_parts import measure  # noqa: E402
from support.command import Gallery, packs  # noqa: E402

LEAST_PHOTOS_A_SECOND = 8.0
MOST_TIMES_THE_PARTS = 2.0
MOST_MEMORY = 3 * 2**30


class Peak(threading.Thread):
    """Watches the memory of processes; once a second is enough for a minute's run."""

    def __init__(self, processes: Callable[[], list[int]]) -> None:
        """Watch those whose ids this returns."""
        super().__init__(daemon=True)
        self.processes = processes
        self.bytes = 0
        self.done = threading.Event()

    def run(self) -> None:
        """Look until told that it is done."""
        while not self.done.wait(1):
            self.bytes = max(self.bytes, proportional_memory(self.processes()))


def make_photos(folder: Path, count: int) -> list[Path]:
    """Make typical photos: 12 megapixels, about 3 MB, one face."""
    script = SHARED / "tools/typical_photos.py"
    subprocess.run([sys.executable, script, folder, str(count)], check=True, stdout=subprocess.DEVNULL)
    return sorted(folder.glob("*.jpg"))


def import_all(gallery: Gallery, *, warm: Path, folder: Path) -> dict[str, Any]:
    """Import a folder into a gallery that is started for it; returns what it took, by kind of process."""
    gallery.data.parent.mkdir()
    with gallery.up() as process:
        gallery.json("import", warm)
        parent = gallery.address()["pid"]
        found = import_watched(gallery, folder, lambda: tree(parent))
        assert process.poll() is None
    return found


def import_watched(gallery: Gallery, folder: Path, processes: Callable[[], list[int]]) -> dict[str, Any]:
    """Import a folder into a gallery whose processes these are; returns what it took, by kind of process."""
    before = cpu_by_kind(processes())
    peak = Peak(processes)
    peak.start()
    began = time.perf_counter()
    summary = gallery.json("import", folder)
    wall = time.perf_counter() - began
    after = cpu_by_kind(processes())
    peak.done.set()
    spent = {kind: seconds - before.get(kind, 0.0) for kind, seconds in after.items()}
    return {"summary": summary, "wall": wall, "cpu": spent, "memory": peak.bytes}


def report(found: dict[str, Any], photos: list[Path], parts: Any) -> dict[str, Any]:
    """Put the figures beside their limits."""
    count = len(photos)
    cpu = sum(found["cpu"].values())
    figures = {
        "photos": count,
        "photos_a_second": count / found["wall"],
        "least_photos_a_second": LEAST_PHOTOS_A_SECOND,
        "cpu_ms_a_photo": 1000 * cpu / count,
        "parts_cpu_ms_a_photo": 1000 * parts.cpu / count,
        "times_the_parts": cpu / parts.cpu,
        "most_times_the_parts": MOST_TIMES_THE_PARTS,
        "memory_gib": found["memory"] / 2**30,
        "most_memory_gib": MOST_MEMORY / 2**30,
        "faces": found["summary"]["faces"],
        "done": found["summary"]["done"],
        "cpu_ms_a_photo_by_process": {kind: 1000 * spent / count for kind, spent in found["cpu"].items()},
    }
    assert figures["done"] == count, "quality gate: every photo done"
    assert figures["faces"] >= 0.9 * count, "quality gate: the faces are found"
    return figures


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=120)
    parser.add_argument("--runtime", nargs="+", default=["onnxruntime", "openvino"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gallery-bench-") as folder:
        root = Path(folder)
        photos = make_photos(root / "photos", options.photos)
        (root / "warm").mkdir()
        make_photos(root / "warm", 2)
        for path in (root / "warm").glob("*.jpg"):
            path.write_bytes(path.read_bytes() + b"\0")  # other bytes than the ones that are measured
        parts = measure(photos, SHARED / "models")
        figures = {}
        for runtime in options.runtime:
            gallery = Gallery(root / runtime / "data", {**packs(SHARED), "GALLERY_RUNTIME": runtime})
            figures[runtime] = report(import_all(gallery, warm=root / "warm", folder=root / "photos"), photos, parts)
    print(json.dumps(figures, indent=2))
    results = ROOT / "bench/results"
    results.mkdir(exist_ok=True)
    (results / "pipeline.json").write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
