"""A large import that is paused, over a restart, and resumed; and one that does not fit."""

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


def test_an_import_goes_to_the_quota_and_after_a_rise_to_its_end(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "data")
    photos = pictures(tmp_path / "many", 6)
    with gallery.up():
        limited = gallery.json("backfill", "quota", "--photos", "4")
        assert (limited["held"]["photos"], limited["quota"]) == (0, {"photos": 4, "bytes": None})
        refused = gallery.call("import", photos)
        assert refused.returncode == 1
        assert "may hold 4 photos" in refused.stderr
        gallery.json("backfill", "quota", "--photos", "none")
        summary = gallery.json("import", photos)
        assert (summary["already_stored"], summary["accepted"]) == (4, 2)
        [library] = gallery.json("backfill", "list")["libraries"]
        size = sum(photo.stat().st_size for photo in photos.iterdir())
        assert library["held"] == {"photos": 6, "bytes": size}
        cost = library["cost"]
        assert (cost["photos"], cost["original_bytes"]) == (6, size)
        assert cost["cpu_seconds"] > 0 < cost["derived_bytes"]
        assert gallery.json("verify")["findings"] == []
