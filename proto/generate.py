"""Generate Python from the contracts and the catalogue of topics, or check that what is committed is up to date.

Usage: python proto/generate.py [--check]
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import catalogue

PROTO = Path(__file__).resolve().parent
TARGET = PROTO.parent / "libs" / "contracts" / "src"
TOPICS = Path("gallery/events/topics.py")


def _generate(target: Path) -> list[Path]:
    subprocess.run(["buf", "generate", "--output", target, PROTO], cwd=PROTO, check=True)
    (target / TOPICS).write_text(catalogue.render(PROTO))
    return [TOPICS, *sorted(path.relative_to(target) for path in target.rglob("*_pb2.py*"))]


def main() -> int:
    """Write the generated files, or name those that differ."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        made = _generate(fresh)
        if "--check" not in sys.argv:
            for name in made:
                shutil.copy(fresh / name, TARGET / name)
            return 0
        stale = [
            str(name) for name in made if not (TARGET / name).exists() or not filecmp.cmp(fresh / name, TARGET / name)
        ]
        gone = sorted(set(TARGET.rglob("*_pb2.py*")) - {TARGET / name for name in made})
    print(
        f"generated code out of date: {stale + [str(path) for path in gone]}"
        if stale or gone
        else "generated code up to date"
    )
    return 1 if stale or gone else 0


if __name__ == "__main__":
    sys.exit(main())
