"""A Google Takeout, made up, brought in as folder and as archives: its sidecars tell what the photos do not."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.command import Gallery

TRIP = "Takeout/Google Photos/Summer in Rome"
SIDECAR: dict[str, Any] = {
    "description": "At the fountain, größer",
    "photoTakenTime": {"timestamp": "1436695200"},
    "geoData": {"latitude": 41.9, "longitude": 12.48, "altitude": 21.0},
    "people": [{"name": "Anna"}],
}


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (shade, 90, 120)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
def takeout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One album as two archives and, with other pictures, unpacked."""
    folder = tmp_path_factory.mktemp("takeout")
    with zipfile.ZipFile(folder / "takeout-20260101T000000Z-001.zip", "w") as archive:
        archive.writestr(f"{TRIP}/IMG_1.jpg", picture(10))
        archive.writestr(f"{TRIP}/IMG_1-edited.jpg", picture(20))
    with zipfile.ZipFile(folder / "takeout-20260101T000000Z-002.zip", "w") as archive:
        archive.writestr(f"{TRIP}/IMG_1.jpg.supplemental-metadata.json", json.dumps(SIDECAR))
        archive.writestr(f"{TRIP}/metadata.json", json.dumps({"title": "Summer in Rome"}))
    unpacked = folder / TRIP
    unpacked.mkdir(parents=True)
    (unpacked / "IMG_2(1).jpg").write_bytes(picture(30))
    (unpacked / "IMG_2.jpg(1).json").write_text(json.dumps(SIDECAR))
    (unpacked / "IMG_3.jpg").write_bytes(picture(40))
    (unpacked / "IMG_3.jpg.json").write_text("{ cut off")
    return folder


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, takeout: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path_factory.mktemp("gallery") / "data")
    with opened.up():
        summary = opened.json("import", takeout)
        assert (summary["found"], summary["done"], summary["ignored"]) == (4, 4, 4)
        yield opened


def photo(gallery: Gallery, name: str) -> dict[str, Any]:
    """The one of this file name."""
    [found] = [one for one in gallery.json("search", "type:photo")["photos"] if one["file"].endswith(f"/{name}")]
    return gallery.json("photo", found["id"])


@pytest.mark.parametrize("name", ["IMG_1.jpg", "IMG_1-edited.jpg", "IMG_2(1).jpg"])
def test_time_and_place_come_from_the_sidecar(gallery: Gallery, name: str) -> None:
    found = photo(gallery, name)
    assert (found["taken_at"], found["taken_from"]) == ("2015-07-12T12:00:00+02:00", "takeout:photoTakenTime")
    assert (found["place"]["country"], found["gps_from"]) == ("Italy", "takeout:geoData")
    assert found["said"]["people"] == ["Anna"]
    assert found["said"]["description"] == SIDECAR["description"]


def test_the_album_is_remembered(gallery: Gallery) -> None:
    assert len(gallery.json("search", "place:italy")["photos"]) == 3
    shown = gallery.call("photo", gallery.json("search", "place:italy")["photos"][0]["id"]).stdout
    assert "Summer in Rome" in shown


def test_a_sidecar_that_was_cut_off_stops_no_photo(gallery: Gallery) -> None:
    found = photo(gallery, "IMG_3.jpg")
    assert found["taken_from"] == "file_time"
    assert found["said"] is None
