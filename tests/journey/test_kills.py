"""A kill at any moment, of any process, loses nothing and does nothing twice.

Each round imports some photos and waits until a stage is under way that the process to be killed works in. The process
is stopped, the database is asked what was under way, and then it is killed: what is printed is what was hit, whatever
had been aimed at. ``make soak`` runs forty rounds, the daily run a few.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image
from support.command import COMMAND, Gallery, packs
from support.pictures import saved
from support.process_tree import Process, alive, processes
from support.stages import STAGES, WORKS_IN, Computing, Lookout

from gallery.cli.connection import Connection, connected

ROUNDS = int(os.environ.get("GALLERY_TEST_KILLS", "4"))
LONG = 40
"""Rounds that hit every stage and every kind of process, and are asked whether they did."""
PHOTOS_A_ROUND = 6
SIDE = 1600
"""Pixels; a portrait of this size keeps each stage busy for long enough to be met."""
LATEST_SIGHT = 8
"""A kill comes with one of the first sights of its stage, at about a millisecond each."""
PATIENCE_SECONDS = 120

Aim = tuple[str, str]
"""A kind of process, and the stage during which it is to be killed."""

AIMS: tuple[Aim, ...] = (
    ("parent", "uploading"),
    ("decoder", "rendering"),
    ("analyse", "looking"),
    ("postgres", "resolving"),
    ("people", "grouping"),
    ("vectors", "matching"),
    ("header", "describing"),
    ("parent", "indexing"),
    ("postgres", "uploading"),
    ("analyse", "keeping"),
    ("parent", "describing"),
    ("people", "matching"),
    ("postgres", "looking"),
    ("vectors", "grouping"),
    ("parent", "resolving"),
    ("postgres", "keeping"),
    ("analyse", "rendering"),
    ("postgres", "grouping"),
    ("postgres", "describing"),
    ("postgres", "indexing"),
)


@dataclass(frozen=True)
class Hit:
    """One kill, and what it met."""

    kind: str
    stages: dict[str, int]
    """Photos in each stage that the process works in."""
    computing: bool

    def __str__(self) -> str:
        met = ", ".join(f"{stage} {photos}" for stage, photos in self.stages.items()) or "nothing under way"
        return f"killed {self.kind} ({'computing' if self.computing else 'waiting'}): {met}"


class Faults:
    """A gallery that is killed again and again."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.log = (gallery.data.parent / "gallery.log").open("a")
        self.port = 0
        self.parent = self.start()
        self.port = int(self._announced()["url"].rpartition(":")[2])

    def start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [COMMAND, "up", "--port", str(self.port)],
            env=self.gallery.environment,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, f"did not start again: {line!r}, see {self.log.name}"
        return process

    def restart(self) -> None:
        """Start again what a person or a service manager would have to."""
        stop(self.parent)
        self.parent = self.start()

    def close(self) -> None:
        stop(self.parent)
        self.log.close()

    def kill(self, kind: str, *, at: str, sight: int, during: subprocess.Popen[str]) -> Hit:
        """Kill a process of this kind at the n-th sight of a stage, or when all is over."""
        with closing(Lookout(self.gallery.data)) as lookout:
            while True:
                tree = processes(int(self._announced()["pid"]))
                sight -= at in lookout.under_way(tree, Computing.now(tree))
                if sight <= 0 or during.poll() is not None:
                    return self._kill(kind, tree, lookout)

    def _kill(self, kind: str, tree: Sequence[Process], lookout: Lookout) -> Hit:
        computing = Computing.now(tree)
        able = sorted(
            (process for process in tree if process.kind == kind), key=lambda one: one.pid not in computing.main
        )
        assert able, f"no {kind} runs"
        victim = able[0]
        os.kill(victim.pid, signal.SIGSTOP)
        under_way = lookout.under_way(tree, computing)
        os.kill(victim.pid, signal.SIGKILL)
        expect_death(victim)
        stages = {stage: photos for stage, photos in under_way.items() if stage in WORKS_IN[kind]}
        return Hit(kind, stages, victim.pid in computing.main | computing.beside)

    def _announced(self) -> dict[str, str]:
        announced: dict[str, str] = json.loads((self.gallery.data / "gallery.json").read_text())
        return announced


def expect_death(victim: Process) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while alive(victim.pid):
        assert time.monotonic() < deadline, f"{victim} outlives its kill"
        os.sched_yield()


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


def photos(shared: Path) -> Iterator[tuple[str, bytes]]:
    portraits = sorted((shared / "photos/lfw").rglob("*.jpg"))
    for portrait in portraits[:: len(portraits) // (ROUNDS * PHOTOS_A_ROUND)]:
        with Image.open(portrait) as image:
            yield portrait.name, saved(image.resize((SIDE, SIDE)), "JPEG", quality=85)


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def check(connection: Connection, sent: Sequence[bytes], fresh: Sequence[bytes]) -> None:
    """Everything is there once and has ended well; what is fresh comes back as it was sent."""
    status = connection.get("/status")
    assert status["consistent"]
    assert status["photos"] == len(sent)
    assert all(stage["pending"] == stage["failed"] == stage["rejected"] == 0 for stage in status["stages"].values()), (
        status
    )
    listed = Counter(photo["id"] for photo in connection.pages("/photos", "photos", limit=500))
    found = Counter(photo["id"] for photo in connection.pages("/search", "photos", q="date:1900..2100", limit=500))
    assert len(listed) == len(sent)
    assert listed == found
    assert set(listed.values()) == {1}
    faces = Counter((face["photo"], *face["box"]) for face in connection.pages("/faces", "faces", limit=500))
    assert set(faces.values()) == {1}
    assert connection.get("/dead-letters")["dead_letters"] == []
    assert connection.ask("POST", "/verify")["findings"] == []
    hashes = [hashlib.sha256(content).hexdigest() for content in fresh]
    known = connection.ask("POST", "/uploads/exists", json={"sha256": hashes})["known"]
    for sha256, content in zip(hashes, fresh, strict=True):
        assert connection.client.get(f"/api/v1/photos/{known[sha256]}/original").content == content


def next_aim(tried: Counter[Aim], hits: Sequence[Hit]) -> Aim:
    """The aim that was tried and met least; what was missed comes again before what was met."""
    met = Counter((hit.kind, stage) for hit in hits for stage in hit.stages)
    return min(AIMS, key=lambda aim: tried[aim] + met[aim])


def report(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def table(hits: Sequence[Hit]) -> str:
    """How often each kind of process was killed, and with which stages under way; ``-`` where it has no part."""
    rows: list[Sequence[str]] = [("", "kills", *STAGES)]
    for kind, own in WORKS_IN.items():
        kills = [hit for hit in hits if hit.kind == kind]
        met = [str(sum(stage in hit.stages for hit in kills)) if stage in own else "-" for stage in STAGES]
        rows.append((kind, str(len(kills)), *met))
    return "\n".join("".join(f"{cell:>11}" for cell in row) for row in rows)


@pytest.fixture
def faults(tmp_path: Path, shared: Path) -> Iterator[Faults]:
    with closing(Faults(Gallery(tmp_path / "data", packs(shared, tags=None)))) as opened:
        yield opened


def test_a_kill_at_any_moment_loses_nothing(faults: Faults, tmp_path: Path, shared: Path) -> None:
    pick = random.Random(20261121)
    gallery = faults.gallery
    source, sent, hits, tried = photos(shared), list[bytes](), list[Hit](), Counter[Aim]()
    for number in range(1, ROUNDS + 1):
        kind, stage = aim = next_aim(tried, hits)
        tried[aim] += 1
        folder, fresh = tmp_path / f"round{number}", dict(islice(source, PHOTOS_A_ROUND))
        write(folder, fresh)
        sent += fresh.values()
        begun = time.monotonic()
        with gallery.begun("import", folder) as process:
            hits.append(faults.kill(kind, at=stage, sight=pick.randint(1, LATEST_SIGHT), during=process))
            if kind == "parent":
                faults.restart()
            finished = process.wait(gallery.patience_seconds) == 0
        if not finished:
            gallery.json("import", folder)
        with connected(gallery.data, server=None) as connection:
            check(connection, sent, list(fresh.values()))
        report(f"round {number}, aimed at {stage}: {hits[-1]}; whole again after {time.monotonic() - begun:.0f} s")

    faults.restart()
    with connected(gallery.data, server=None) as connection:
        check(connection, sent, sent)
    report(table(hits))
    assert len(hits) == ROUNDS
    if ROUNDS >= LONG:
        assert {stage for hit in hits for stage in hit.stages} == set(STAGES)
        assert {hit.kind for hit in hits if hit.stages} == set(WORKS_IN)
