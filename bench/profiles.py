"""The two profiles side by side: how fast photos go through each, and how long one alone takes.

Usage: python bench/profiles.py [--photos 120] [--alone 20] [--runtime openvino]

The embedded profile first, then the distributed one with one process of each role and real engines on the same cores;
the same photos and packs. Both are warm: they have seen some photos before. CPU is that of all processes of a gallery,
its engines included. Quality gate: every photo done, its face found. Writes bench/results/profiles.json.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from goals import Figure, percentile, tell  # noqa: E402  # beside this file
from pipeline import import_watched, make_photos  # noqa: E402
from support.command import packs  # noqa: E402
from watching import MATCHED, Watched, distributed, embedded  # noqa: E402

WARM = 30
LEAST_SHARE = 0.8
MOST_SECONDS_ALONE = 2.0


def folders_of(root: Path, counts: dict[str, int]) -> dict[str, Path]:
    """Make photos, and put so many of them into each folder."""
    photos = iter(make_photos(root / "photos", sum(counts.values())))
    folders = {part: root / part for part in counts}
    for part, folder in folders.items():
        folder.mkdir()
        for _ in range(counts[part]):
            photo = next(photos)
            photo.rename(folder / photo.name)
    return folders


def measure(gallery: Watched, folders: dict[str, Path]) -> dict[str, Any]:
    """Import many, then send some alone, each after the one before has been matched."""
    gallery.command.json("import", folders["warm"])
    found = import_watched(gallery.command, folders["many"], gallery.processes)
    count = len(list(folders["many"].iterdir()))
    assert found["summary"]["done"] == count, "quality gate: every photo done"
    assert found["summary"]["faces"] >= 0.9 * count, "quality gate: the faces are found"
    alone = [gallery.seconds_to(MATCHED, photo.read_bytes()) for photo in sorted(folders["alone"].iterdir())]
    cpu = {kind: 1000 * spent / count for kind, spent in found["cpu"].items() if spent}
    return {"rate": count / found["wall"], "alone": percentile(alone, 95), "cpu": cpu, "memory": found["memory"]}


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=120)
    parser.add_argument("--alone", type=int, default=20)
    parser.add_argument("--runtime", default="openvino")
    options = parser.parse_args()
    settings = {**packs(SHARED), "GALLERY_RUNTIME": options.runtime}
    found = {}
    with tempfile.TemporaryDirectory(prefix="gallery-profiles-") as folder:
        root = Path(folder)
        folders = folders_of(root, {"warm": WARM, "many": options.photos, "alone": options.alone})
        with embedded(root / "embedded", settings) as gallery:
            found["embedded"] = measure(gallery, folders)
        with ExitStack() as stack:
            gallery, _ = stack.enter_context(distributed(root / "distributed", settings))
            found["distributed"] = measure(gallery, folders)
    share = found["distributed"]["rate"] / found["embedded"]["rate"]
    figures = [Figure("distributed rate, of the embedded one", share, "", LEAST_SHARE, least=True)]
    for profile, each in found.items():
        figures += [
            Figure(f"{profile}: photos a second", each["rate"], "/s"),
            Figure("  CPU a photo, all processes", sum(each["cpu"].values()), "ms"),
            Figure("  memory, all processes", each["memory"] / 2**30, "GiB"),
            Figure("  one photo alone, upload to faces matched, p95", each["alone"], "s", MOST_SECONDS_ALONE),
        ]
    cpu = {
        f"{profile} CPU ms a photo": dict(sorted(each["cpu"].items(), key=lambda pair: -pair[1]))
        for profile, each in found.items()
    }
    tell("profiles", figures, **cpu)


if __name__ == "__main__":
    main()
