"""A disk that is full, with the whole product on it: said in a sentence, nothing lost, and gone on with once there is
room.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.command import Gallery, packs
from support.disks import ballast, small_disk
from support.process_tree import processes
from support.stages import Computing, Lookout

from gallery.cli.connection import Connection, connected

DISK = "200m"
"""An empty database takes 40, the vectors another 40."""
MEGABYTE = 1_000_000
KEEP_FREE = 32 * MEGABYTE
PATIENCE_SECONDS = 180


@pytest.fixture
def gallery(tmp_path: Path, shared: Path) -> Iterator[Gallery]:
    """A gallery whose data folder is a small disk; its log is elsewhere."""
    data = tmp_path / "data"
    data.mkdir()
    with small_disk(data, size=DISK):
        yield Gallery(data, packs(shared, tags=None) | {"GALLERY_KEEP_FREE": str(KEEP_FREE)})


def photos(shared: Path, folder: Path, *, count: int, size: int) -> Path:
    """Portraits that somebody appended bytes to, of this size each."""
    folder.mkdir()
    for portrait in sorted((shared / "photos/lfw").rglob("*.jpg"))[::100][:count]:
        content = portrait.read_bytes()
        (folder / portrait.name).write_bytes(content + os.urandom(size - len(content)))
    return folder


def pending(status: Mapping[str, Any]) -> int:
    return sum(stage["pending"] for stage in status["stages"].values())


def failed(status: Mapping[str, Any]) -> int:
    return sum(stage["failed"] + stage["rejected"] for stage in status["stages"].values())


def check_whole(gallery: Gallery, folder: Path) -> None:
    """Every photo is there once, has ended well, and comes back as it was sent."""
    sent = {path.name: path.read_bytes() for path in folder.iterdir()}
    with connected(gallery.data, server=None) as connection:
        status = connection.get("/status")
        assert status["consistent"]
        assert status["photos"] == len(sent)
        assert pending(status) == failed(status) == 0
        assert connection.ask("POST", "/verify")["findings"] == []
        assert connection.get("/dead-letters")["dead_letters"] == []
        found = list(connection.pages("/search", "photos", q="date:1900..2100"))
        assert sorted(photo["file"] for photo in found) == sorted(sent)
        for photo in found:
            assert original(connection, photo["id"]) == sent[photo["file"]]


def expect(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def original(connection: Connection, photo_id: str) -> bytes:
    return connection.client.get(f"/api/v1/photos/{photo_id}/original").content


def test_an_import_that_fills_the_disk_ends_with_what_to_do_and_goes_on_later(
    gallery: Gallery, tmp_path: Path, shared: Path
) -> None:
    album = photos(shared, tmp_path / "album", count=12, size=4 * MEGABYTE)
    with gallery.up() as process:
        filling = ballast(gallery.data, leave=KEEP_FREE + 25 * MEGABYTE)
        stopped = gallery.call("import", album)
        assert stopped.returncode == 1
        assert "free some space" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        status = gallery.json("status")
        assert 0 < status["photos"] < 12
        assert status["consistent"]
        assert failed(status) == 0
        assert gallery.json("verify")["findings"] == []
        assert process.poll() is None

        filling.unlink()
        assert gallery.json("import", album)["failed"] == 0
        check_whole(gallery, album)


def test_pictures_that_find_no_room_are_made_once_there_is_some(gallery: Gallery, tmp_path: Path, shared: Path) -> None:
    album = photos(shared, tmp_path / "album", count=8, size=1 * MEGABYTE)
    with gallery.up() as process:
        with gallery.begun("import", album) as importing, closing(Lookout(gallery.data)) as lookout:
            wait_for("looking", lookout, importing, process.pid)
            filling = ballast(gallery.data, leave=KEEP_FREE // 2)
            check_stopped(importing)
            expect(lookout.untried)
        status = gallery.json("status")
        assert status["stages"]["rendered"]["pending"] > 0
        assert failed(status) == 0

        filling.unlink()
        expect(lambda: not pending(gallery.json("status")))
        assert gallery.json("import", album)["failed"] == 0
        check_whole(gallery, album)


@pytest.mark.parametrize("stage", ["uploading", "looking"])
def test_a_database_that_cannot_go_on_stops_with_what_to_do_and_loses_nothing(
    gallery: Gallery, tmp_path: Path, shared: Path, stage: str
) -> None:
    album = photos(shared, tmp_path / "album", count=8, size=1 * MEGABYTE)
    with gallery.up() as process:
        with gallery.begun("import", album) as importing, closing(Lookout(gallery.data)) as lookout:
            wait_for(stage, lookout, importing, process.pid)
            filling = ballast(gallery.data, leave=0)
            lookout.use_up_log()
            check_stopped(importing)
        assert process.wait(PATIENCE_SECONDS) == 1
    log = (tmp_path / "data.log").read_text().splitlines()
    assert any(line.startswith("no space left") and "make room" in line for line in log)

    again = gallery.call("import", album)
    assert again.returncode == 1
    assert "make room" in again.stderr
    assert "Traceback" not in again.stderr

    filling.unlink()
    with gallery.up():
        assert gallery.json("import", album)["failed"] == 0
        check_whole(gallery, album)


def test_tables_and_vectors_that_find_no_room_fill_up_once_there_is_some(
    gallery: Gallery, tmp_path: Path, shared: Path
) -> None:
    album = photos(shared, tmp_path / "album", count=8, size=1 * MEGABYTE)
    with gallery.up() as process:
        with gallery.begun("import", album) as importing, closing(Lookout(gallery.data)) as lookout:
            wait_for("matching", lookout, importing, process.pid)
            filling = ballast(gallery.data, leave=0)
            check_stopped(importing)
        assert gallery.json("status")["consistent"]
        filling.unlink()
        assert gallery.json("import", album)["failed"] == 0
        check_whole(gallery, album)


def wait_for(stage: str, lookout: Lookout, importing: subprocess.Popen[str], parent: int) -> None:
    while True:
        tree = processes(parent)
        if stage in lookout.under_way(tree, Computing.now(tree)):
            return
        assert importing.poll() is None, f"the import ended before a photo was {stage}"


def check_stopped(importing: subprocess.Popen[str]) -> None:
    """The import ends by itself and says what to do."""
    _, said = importing.communicate(timeout=PATIENCE_SECONDS)
    assert importing.returncode == 1
    assert "free some space" in said
    assert "Traceback" not in said
