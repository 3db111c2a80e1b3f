"""Group the test part of LFW through the whole product, and score the half of the people that chose no threshold.

Usage: python bench/lfw.py

2,746 images go through upload, decoding, detection, embedding and grouping in the backfill lane. Limits: B-cubed F at
least 98.5 with precision at least 99.0. Writes bench/results/lfw.json.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
sys.path.insert(0, str(ROOT / "tests"))

from support.command import Gallery, packs  # noqa: E402  # beside this folder

LEAST_F = 98.5
LEAST_PRECISION = 99.0
PATIENCE_SECONDS = 3600


def score(faces: Path, half: str) -> dict[str, Any]:
    """Score groups of faces against the folders they came from."""
    command: list[str | Path] = [
        sys.executable,
        SHARED / "tools/score_groups.py",
        faces,
        SHARED / "photos/lfw",
        "--half",
        half,
        "--json",
    ]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def main() -> int:
    """Import, group, score; returns 1 when a limit is missed."""
    with tempfile.TemporaryDirectory(prefix="gallery-lfw-") as folder:
        gallery = Gallery(Path(folder) / "data", packs(SHARED), patience_seconds=PATIENCE_SECONDS)
        with gallery.up():
            began = time.perf_counter()
            summary = gallery.json("import", SHARED / "photos/lfw", "--lane", "backfill")
            seconds = time.perf_counter() - began
            found = Path(folder) / "faces.json"
            found.write_text(json.dumps(gallery.json("faces")))
            consistent = gallery.json("status")["consistent"]
        figures = {"summary": summary, "seconds": seconds, "photos_a_second": summary["done"] / seconds}
        figures |= {"consistent": consistent, "show": score(found, "show"), "choose": score(found, "choose")}
    print(json.dumps(figures, indent=2))
    results = ROOT / "bench/results"
    results.mkdir(exist_ok=True)
    (results / "lfw.json").write_text(json.dumps(figures, indent=2))
    reached = figures["show"]["bcubed_f"] >= LEAST_F and figures["show"]["bcubed_precision"] >= LEAST_PRECISION
    return 0 if reached and consistent else 1


if __name__ == "__main__":
    sys.exit(main())
