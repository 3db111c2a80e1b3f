"""A large import that is paused, over a restart, and resumed."""

import io
from pathlib import Path
from typing import Any

from PIL import Image
from support.command import Gallery
from support.waiting import expect_soon


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        out = io.BytesIO()
        Image.new("RGB", (64, 48), (number * 20, 90, 120)).save(out, "JPEG")
        (folder / f"IMG_{number}.jpg").write_bytes(out.getvalue())
    return folder


def backfill(gallery: Gallery) -> dict[str, Any]:
    [library] = gallery.json("backfill", "list")["libraries"]
    return {"paused": library["paused"], **library["lanes"]["backfill"]}


async def holds(gallery: Gallery, *, pending: int) -> bool:
    """Whether so many photos are known to wait: facts take a moment."""
    return bool(backfill(gallery)["pending"] == pending)


async def test_a_paused_backfill_waits_over_a_restart(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "data")
    with gallery.up():
        gallery.json("backfill", "pause")
        gallery.json("import", pictures(tmp_path / "many", 4), "--no-wait")
        (tmp_path / "one.jpg").write_bytes((tmp_path / "many" / "IMG_0.jpg").read_bytes() + b"\0")
        assert gallery.json("import", tmp_path / "one.jpg", "--lane", "interactive")["done"] == 1
        await expect_soon(lambda: holds(gallery, pending=4))
        assert (backfill(gallery)["paused"], backfill(gallery)["seconds_left"]) == (True, None)
    with gallery.up():
        assert (backfill(gallery)["paused"], backfill(gallery)["pending"]) == (True, 4)
        gallery.json("backfill", "resume")
        assert gallery.json("import", tmp_path / "many")["already_stored"] == 4  # waits until all have ended
        assert backfill(gallery)["pending"] == 0
        assert gallery.json("status")["stages"]["rendered"]["done"] == 5
