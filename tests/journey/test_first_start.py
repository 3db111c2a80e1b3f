"""What somebody has who installed it and nothing else: the offline pack, and pictures that packages carry."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from support.command import Gallery

EXPOSURES = (1.0, 0.75, 1.25)
MARGIN = 0.6
"""Of the face's size, left around it on each side."""

# Left, top, width, height of the six faces in insightface's picture, in pixels.
FACES = (
    (65, 284, 105, 105),
    (275, 179, 88, 88),
    (452, 300, 126, 126),
    (734, 365, 105, 105),
    (883, 89, 105, 105),
    (1114, 284, 105, 105),
)


def portraits_of_six(folder: Path) -> None:
    picture = cv2.imread(str(files("insightface") / "data" / "images" / "t1.jpg"))
    assert picture is not None
    for person, (left, top, width, height) in enumerate(FACES):
        for take, exposure in enumerate(EXPOSURES):
            around = int(MARGIN * max(width, height)) + 4 * take
            crop = picture[max(top - around, 0) : top + height + around, max(left - around, 0) : left + width + around]
            exposed: NDArray[np.uint8] = np.clip(crop.astype(np.float32) * exposure, 0, 255).astype(np.uint8)
            larger = cv2.resize(exposed, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
            target = folder / f"person{person}"
            target.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(target / f"take{take}.jpg"), larger)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gallery, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("first")
    photos = folder / "photos"
    portraits_of_six(photos)
    for name in ("astronaut", "chelsea", "coffee"):
        cv2.imwrite(str(photos / f"{name}.png"), getattr(skimage.data, name)()[..., ::-1])
    gallery = Gallery(folder / "data")
    with gallery.up():
        yield gallery, gallery.json("import", photos)


def test_six_faces_become_six_people(first: tuple[Gallery, dict[str, Any]]) -> None:
    gallery, summary = first
    assert summary["done"] == summary["found"] == 6 * len(EXPOSURES) + 3
    groups: dict[str, set[str]] = {}
    for face in gallery.json("faces")["faces"]:
        if face["file"].startswith("person") and face["state"] == "assigned":
            groups.setdefault(face["person"], set()).add(face["file"].split("/")[0])
    assert all(len(folders) == 1 for folders in groups.values())
    assert set().union(*groups.values()) == {f"person{number}" for number in range(6)}


def test_without_a_tag_pack_photos_say_so(first: tuple[Gallery, dict[str, Any]]) -> None:
    gallery, _ = first
    cat = gallery.json("search", "file:chelsea")["photos"]
    assert [photo["file"] for photo in cat] == ["chelsea.png"]
    photo = gallery.json("photo", cat[0]["id"])
    assert photo["tags"] == []
    assert photo["stages"]["tags"]["state"] == "done"
    assert photo["stages"]["tags"]["reason"] == "no_pack"


def test_a_second_gallery_on_the_same_data_is_refused(first: tuple[Gallery, dict[str, Any]]) -> None:
    gallery, _ = first
    second = gallery.call("up", "--port", "0")
    assert second.returncode == 1
    assert "already runs" in second.stderr


def test_a_mistake_in_a_query_is_wrong_usage(first: tuple[Gallery, dict[str, Any]]) -> None:
    gallery, _ = first
    answer = gallery.call("search", "date:yesterday")
    assert answer.returncode == 64
    assert "expected a year" in answer.stderr


def test_bad_files_are_named_with_their_reason(first: tuple[Gallery, dict[str, Any]], tmp_path: Path) -> None:
    gallery, _ = first
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("a letter")
    summary = gallery.json("import", tmp_path, code=2)
    assert summary["found"] == 3
    assert {(entry["path"], entry["code"]) for entry in summary["rejected"]} == {
        ("broken.jpg", "truncated"),
        ("empty.jpg", "empty_file"),
        ("text.png", "unsupported_type"),
    }
    assert gallery.json("status")["consistent"]


def test_a_folder_that_is_not_there_is_wrong_usage(first: tuple[Gallery, dict[str, Any]], tmp_path: Path) -> None:
    gallery, _ = first
    answer = gallery.call("import", tmp_path / "nowhere")
    assert answer.returncode == 64
    assert "nowhere" in answer.stderr


def test_an_empty_folder_is_no_mistake(first: tuple[Gallery, dict[str, Any]], tmp_path: Path) -> None:
    gallery, _ = first
    assert gallery.json("import", tmp_path)["found"] == 0
