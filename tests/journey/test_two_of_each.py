"""Two workers of each kind, one killed in the middle of its work: the other ends it, and every account closes."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from PIL import Image
from support.command import Gallery, packs
from support.distributed import TOKEN, Distributed, Engines, RoleProcess
from support.pictures import saved
from support.process_tree import Process
from support.stages import Computing

PHOTOS = 80
SIDE = 1600
"""Pixels; such a portrait keeps each worker busy for long enough to be met."""

IN_HAND = {
    "metadata-consume": """
        SELECT count(*) FROM upload.originals
        WHERE NOT EXISTS (SELECT FROM metadata.ledger WHERE ledger.photo_id = originals.photo_id)""",
    "ml-worker-consume": """
        SELECT count(*) FROM upload.originals
        WHERE NOT EXISTS (SELECT FROM ml_worker.photos WHERE photos.id = originals.photo_id)""",
    "ml-worker-analyse": "SELECT count(*) FROM ml_worker.work WHERE stage = 'analyse' AND leased_until > now()",
    "ml-worker-people": "SELECT count(*) FROM ml_worker.work WHERE stage = 'people' AND leased_until > now()",
    "search-consume": "SELECT count(*) FROM search.pending WHERE claim IS NOT NULL AND not_before > now()",
}
"""What the workers of a kind have under way, by kind."""

MORE_THAN = {"ml-worker-analyse": 16}
"""What one worker may hold alone, where that is more than nothing: beyond it each of the two holds some."""

pytestmark = pytest.mark.engine


@pytest.fixture
def gallery(tmp_path: Path, shared: Path) -> Iterator[Distributed]:
    engines = Engines.in_folder(tmp_path / "engines")
    gallery = Distributed(tmp_path, engines, packs(shared, tags=None))
    with engines.running(), gallery.running(dict.fromkeys(IN_HAND, 2)):
        yield gallery


def portraits(shared: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in sorted((shared / "photos/lfw").rglob("*.jpg"))[::20][:PHOTOS]:
        with Image.open(path) as image:
            (folder / path.name).write_bytes(saved(image.resize((SIDE, SIDE)), "JPEG", quality=85))
    return folder


def in_hand(connection: psycopg.Connection, kind: str) -> bool:
    row = connection.execute(IN_HAND[kind].encode()).fetchone()
    assert row is not None
    return bool(row[0] > MORE_THAN.get(kind, 0))


def the_busier(workers: list[RoleProcess]) -> RoleProcess:
    """Of two, one that is on a processor or waits for one, if there is."""
    tree = [Process(worker.pid, worker.name) for worker in workers]
    computing = Computing.now(tree)
    return max(workers, key=lambda worker: worker.pid in computing.main | computing.beside)


def kill_at_work(workers: list[RoleProcess], kind: str, connection: psycopg.Connection) -> str | None:
    """Kill one of these if there is something in hand once it stands still; its name if it died."""
    victim = the_busier(workers)
    victim.pause()
    if not in_hand(connection, kind):
        victim.resume()
        return None
    victim.kill()
    return victim.name


def kill_one_of_each(gallery: Distributed, importing: subprocess.Popen[str]) -> list[str]:
    """Kill one worker of each kind while it has something in hand; the names of the dead."""
    dead: dict[str, str] = {}
    with psycopg.connect(gallery.engines.postgres.url, autocommit=True) as connection:
        while len(dead) < len(IN_HAND) and importing.poll() is None:
            for kind in [kind for kind in IN_HAND.keys() - dead.keys() if in_hand(connection, kind)]:
                if victim := kill_at_work(gallery.processes[kind], kind, connection):
                    dead[kind] = victim
            os.sched_yield()
    return sorted(dead.values())


def test_the_other_worker_of_each_kind_ends_what_the_dead_one_held(
    gallery: Distributed, tmp_path: Path, shared: Path
) -> None:
    album = portraits(shared, tmp_path / "album")
    client = Gallery(tmp_path / "client", {"GALLERY_TOKEN": TOKEN}, server=gallery.gateway)
    began = time.monotonic()
    with client.begun("import", album) as importing:
        dead = kill_one_of_each(gallery, importing)
        assert importing.wait(client.patience_seconds) == 0
    print(f"\nkilled {', '.join(dead)}; {PHOTOS} photos in {time.monotonic() - began:.0f} s")  # noqa: T201  # for whoever reads the run
    assert len(dead) == len(IN_HAND)

    status = client.json("status")
    assert status["consistent"]
    assert status["photos"] == PHOTOS
    assert {stage["done"] for name, stage in status["stages"].items() if name != "tags"} == {PHOTOS}
    assert client.json("dead-letters", "list")["dead_letters"] == []
    assert client.json("verify")["findings"] == []
    found = Counter(
        photo["file"] for photo in client.json("search", "date:1900..2100", "--limit", str(PHOTOS))["photos"]
    )
    assert found == Counter(path.name for path in album.iterdir())
    faces = Counter((face["photo"], *face["box"]) for face in client.json("faces")["faces"])
    assert set(faces.values()) == {1}
