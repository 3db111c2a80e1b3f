"""Resolve the workspace into hashed requirement files without addresses.

``uv.lock`` names the hosts that packages were fetched from, so it stays out of the repository; these files pin the
same versions by hash and work with any index.

Usage: python requirements/lock.py [--check | --upgrade]
    Without an option the committed pins are kept and only what is new is resolved. ``--check`` writes nothing and
    exits 1 when the files no longer follow from the members' pyproject.toml.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).parent / "uv"
LIBRARIES = ["--package=gallery-adapters", "--extra=distributed", "--package=gallery-runtime", "--extra=tracing"]
IMAGE = ["--no-dev", *LIBRARIES]
FILES = {
    "run.txt": ["--all-packages", "--no-dev"],
    "test.txt": ["--all-packages", "--all-groups"],
    # Images: one set for the four small services, so that they share the layer; the worker's are large.
    "service.txt": [*IMAGE, *(f"--package=gallery-{name}" for name in ("upload", "metadata", "search", "gateway"))],
    "ml-worker.txt": [*IMAGE, "--package=gallery-ml-worker", "--extra=openvino"],
    # Both builds of onnxruntime write the same folder, so one has to go.
    "ml-worker-cuda.txt": [*IMAGE, "--package=gallery-ml-worker", "--extra=cuda", "--prune=onnxruntime"],
}
PIN = re.compile(r"^([a-z0-9._-]+==[^\s;\\]+(?: ;[^\\]+)?)", re.MULTILINE)


def _committed(name: str) -> str:
    path = ROOT / "requirements" / name
    return path.read_text() if path.exists() else ""


def _pins() -> list[str]:
    """Return every pin of the committed files, as constraints."""
    return sorted({pin.strip() for name in FILES for pin in PIN.findall(_committed(name))})


def _copy_members(target: Path) -> None:
    """Copy all that a resolution reads: the pyproject.toml of each member."""
    for pyproject in [ROOT / "pyproject.toml", *ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml")]:
        copy = target / pyproject.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pyproject, copy)


def _constrain(pyproject: Path, pins: list[str]) -> None:
    text = pyproject.read_text()
    pyproject.write_text(text.replace("[tool.uv]\n", f"[tool.uv]\nconstraint-dependencies = {json.dumps(pins)}\n", 1))


def _resolve(pins: list[str]) -> dict[str, str]:
    """Return the content of each requirement file."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        _copy_members(copy)
        _constrain(copy / "pyproject.toml", pins)
        subprocess.run([UV, "lock", "--quiet", "--project", copy], check=True)
        export = [UV, "export", "--quiet", "--project", copy, "--frozen", "--no-emit-workspace"]
        return {
            name: subprocess.run(
                [*export, "--no-header", "--no-annotate", *options], check=True, capture_output=True, text=True
            ).stdout
            for name, options in FILES.items()
        }


def main() -> int:
    """Write the files, or say whether they are up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--upgrade", action="store_true")
    options = parser.parse_args()
    resolved = _resolve([] if options.upgrade else _pins())
    stale = [name for name, text in resolved.items() if text != _committed(name)]
    if options.check:
        print(f"requirements out of date: {', '.join(stale)}; run make lock" if stale else "requirements up to date")
        return 1 if stale else 0
    for name, text in resolved.items():
        (ROOT / "requirements" / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
