"""From a folder of portraits and group pictures to people with names, with the test models."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from support.command import Gallery, packs
from support.groups import pairwise, portrait_groups

PEOPLE = {"amy", "bernadette", "howard", "leonard", "penny", "raj", "sheldon", "stuart"}


@pytest.fixture(scope="module", params=["embedded", pytest.param("distributed", marks=pytest.mark.engine)])
def album(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared: Path
) -> Iterator[tuple[Gallery, dict[str, Any]]]:
    profile = embedded if request.param == "embedded" else distributed
    with profile(tmp_path_factory.mktemp("album"), packs(shared)) as gallery:
        yield gallery, gallery.json("import", shared / "photos/albums/bbt")


@contextmanager
def embedded(folder: Path, settings: dict[str, str]) -> Iterator[Gallery]:
    gallery = Gallery(folder / "data", settings)
    with gallery.up():
        yield gallery


@contextmanager
def distributed(folder: Path, settings: dict[str, str]) -> Iterator[Gallery]:
    from support.distributed import TOKEN, Distributed, Engines

    engines = Engines.in_folder(folder / "engines")
    gallery = Distributed(folder, engines, settings)
    with engines.running(), gallery.running({"ml-worker-analyse": 2, "metadata-consume": 2, "search-consume": 2}):
        yield Gallery(folder / "client", {"GALLERY_TOKEN": TOKEN}, server=gallery.gateway)


def person_of(gallery: Gallery, folder: str) -> str:
    faces = [face for face in gallery.json("faces")["faces"] if PurePosixPath(face["file"]).parent.name == folder]
    person: str = Counter(face["person"] for face in faces).most_common(1)[0][0]
    return person


def test_every_photo_arrives_and_every_portrait_joins_its_person(album: tuple[Gallery, dict[str, Any]]) -> None:
    gallery, summary = album
    assert summary["found"] == summary["accepted"] == summary["done"]
    assert not summary["rejected"]
    assert summary["failed"] == 0

    groups = portrait_groups(gallery.json("faces")["faces"])
    assert len(groups) == 40
    assert pairwise(groups) == (1.0, 1.0)
    assert summary["people"] >= len(PEOPLE)
    assert gallery.json("status")["consistent"]


def test_nobody_is_twice_in_one_photo(album: tuple[Gallery, dict[str, Any]]) -> None:
    gallery, _ = album
    pairs = Counter((face["photo"], face["person"]) for face in gallery.json("faces")["faces"] if face["person"])
    assert max(pairs.values()) == 1


def test_a_name_labels_all_photos_of_the_person_and_search_gives_exactly_those(
    album: tuple[Gallery, dict[str, Any]],
) -> None:
    gallery, _ = album
    person = person_of(gallery, "sheldon")
    gallery.json("name", person, "Sheldon")

    expected = {face["file"] for face in gallery.json("faces")["faces"] if face["person"] == person}
    found = {photo["file"] for photo in gallery.json("search", "person:sheldon")["photos"]}
    assert found == expected
    assert any(name.startswith("group/") or "/group/" in name for name in found)
    assert sum("sheldon" in name for name in found) == 5


def test_the_same_album_again_changes_nothing(album: tuple[Gallery, dict[str, Any]], shared: Path) -> None:
    gallery, first = album
    again = gallery.json("import", shared / "photos/albums/bbt")
    assert again["already_stored"] == first["found"]
    assert again["accepted"] == 0
    assert gallery.json("status")["photos"] == first["accepted"]


def test_every_assigned_face_has_its_evidence(album: tuple[Gallery, dict[str, Any]]) -> None:
    gallery, _ = album
    unnamed = {person["id"] for person in gallery.json("people")["people"] if person["name"] is None}
    face = next(face for face in gallery.json("faces")["faces"] if face["person"] in unnamed)
    evidence = gallery.json("face", face["id"])["evidence"]
    assert evidence["rule"] != "judged"
    assert evidence["threshold"] <= evidence["similarity"] <= 1


def test_verify_finds_nothing(album: tuple[Gallery, dict[str, Any]]) -> None:
    gallery, _ = album
    assert gallery.json("verify")["findings"] == []
