"""A folder of files made to harm, imported: each is named with its reason, and their neighbours are shown."""

import zipfile
from pathlib import Path

from support.command import Gallery
from support.harmful import harmful
from support.pictures import quarters, saved

GOOD = 3
BOMB = 200 << 20
"""Bytes that a small archive unpacks to."""


def test_a_folder_made_to_harm_is_imported_around_its_bombs(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    harm = {f"{one.name.replace(' ', '-')}.jpg": one for one in harmful()}
    for name, one in harm.items():
        (photos / name).write_bytes(one.content)
    for number in range(GOOD):
        (photos / f"good{number}.jpg").write_bytes(saved(quarters(), "JPEG") + bytes([number]))
    with zipfile.ZipFile(photos / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photo.jpg", bytes(BOMB))

    gallery = Gallery(tmp_path / "data")
    with gallery.up():
        summary = gallery.json("import", photos, code=2)
        status = gallery.json("status")

    reasons = {entry["path"]: entry["code"] for entry in summary["rejected"]}
    assert reasons.keys() >= harm.keys()
    assert not {name: reasons[name] for name, one in harm.items() if reasons[name] not in {*one.codes, "empty_file"}}
    assert reasons["bomb.zip"] == "archive_bomb"
    assert summary["done"] == GOOD
    assert summary["failed"] == 0
    assert status["consistent"]
