"""A kill at any moment, of any process, loses nothing and does nothing twice.

Each round uploads some photos, kills one process after a seeded pause, and lets the gallery go on; what died with its
parent is started again. ``make soak`` runs forty rounds, the daily run a few.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from support.command import COMMAND, Gallery, packs
from support.process_tree import Process, alive, processes

ROUNDS = int(os.environ.get("GALLERY_TEST_KILLS", "4"))
PHOTOS_A_ROUND = 6
ORDER = ("parent", "analyse", "decoder", "postgres", "people", "vectors", "header")


class Faults:
    """A gallery that is killed again and again."""

    def __init__(self, gallery: Gallery, stack: ExitStack) -> None:
        self.gallery = gallery
        self.stack = stack
        self.parent = self.start()

    def start(self) -> subprocess.Popen[str]:
        environment = self.gallery.environment
        log = self.stack.enter_context((self.gallery.data.parent / "gallery.log").open("a"))
        process = subprocess.Popen(
            [COMMAND, "up", "--port", "0"], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.stack.callback(stop, process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, f"did not start again: {line!r}, see {log.name}"
        return process

    def pid(self) -> int:
        return int(json.loads((self.gallery.data / "gallery.json").read_text())["pid"])

    def kill(self, kind: str) -> Process | None:
        victim = next((process for process in processes(self.pid()) if process.kind == kind), None)
        if victim is not None:
            os.kill(victim.pid, signal.SIGKILL)
        return victim

    def go_on(self, kind: str, victim: Process) -> None:
        """Start again what a person or a service manager would have to."""
        deadline = time.monotonic() + 20
        while alive(victim.pid) and time.monotonic() < deadline:
            os.sched_yield()
        if kind in {"parent", "postgres"}:
            stop(self.parent)
            self.parent = self.start()


def stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def photos(shared: Path) -> Iterator[Path]:
    yield from sorted((shared / "photos/lfw").rglob("*.jpg"))[:: 2746 // (ROUNDS * PHOTOS_A_ROUND) - 1]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def report(line: str) -> None:
    sys.stdout.write(line + "\n")


def stages(gallery: Gallery) -> dict[str, Any]:
    return {name: counts["pending"] for name, counts in gallery.json("status")["stages"].items()}


def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path, shared: Path, stack: ExitStack) -> None:
    pick = random.Random(20261121)
    faults = Faults(Gallery(tmp_path / "data", packs(shared, tags=None)), stack)
    source, sent, hits = photos(shared), [], Counter[str]()
    for number in range(ROUNDS):
        folder = tmp_path / f"round{number}"
        folder.mkdir()
        for photo in [next(source) for _ in range(PHOTOS_A_ROUND)]:
            (folder / photo.name).write_bytes(photo.read_bytes())
            sent.append(folder / photo.name)
        upload = subprocess.Popen(
            [COMMAND, "import", folder, "--json"],
            env=faults.gallery.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        kind = ORDER[number % len(ORDER)]
        with suppress(subprocess.TimeoutExpired):
            upload.wait(timeout=pick.uniform(0.3, 3.0))
        victim = faults.kill(kind)
        if victim is not None:
            hits[kind] += 1
            report(f"round {number}: killed {kind}")
            faults.go_on(kind, victim)
        upload.kill()
        upload.wait()
        faults.gallery.json("import", folder)
        report(f"  pending afterwards: {stages(faults.gallery)}")

    summary = faults.gallery.json("status")
    assert summary["consistent"]
    assert summary["photos"] == len(sent)
    assert all(stage["failed"] == stage["pending"] == 0 for stage in summary["stages"].values())
    assert faults.gallery.json("verify")["findings"] == []
    assert sum(hits.values()) >= min(ROUNDS, 4)
    found = {photo["sha256"] for photo in stored(faults.gallery)}
    assert found == {hashlib.sha256(path.read_bytes()).hexdigest() for path in sent}


def stored(gallery: Gallery) -> list[dict[str, Any]]:
    return [
        gallery.json("photo", photo["id"])
        for photo in gallery.json("search", "date:1900..2100", "--limit", "500")["photos"]
    ]
