"""What users of such software complain about, and must not have to say of this one."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from support.command import Gallery, packs

NAMED = ("amy", "penny", "raj")
FIRST = 3
"""Portraits of each that are there when the names are given."""


def copy(shared: Path, target: Path, portraits: slice) -> Path:
    for person in NAMED:
        folder = target / person
        folder.mkdir(parents=True)
        for portrait in sorted((shared / "photos/albums/bbt" / person).iterdir())[portraits]:
            (folder / portrait.name).write_bytes(portrait.read_bytes())
    return target


def folder_of(face: dict[str, Any]) -> str:
    return PurePosixPath(face["file"]).parent.name


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Gallery]:
    root = tmp_path_factory.mktemp("family")
    gallery = Gallery(root / "data", packs(shared, tags=None))
    with gallery.up():
        gallery.json("import", copy(shared, root / "first", slice(0, FIRST)))
        faces = gallery.json("faces")["faces"]
        for name in NAMED:
            person = Counter(face["person"] for face in faces if folder_of(face) == name).most_common(1)[0][0]
            gallery.json("name", person, name.title())
        gallery.json("import", copy(shared, root / "later", slice(FIRST, None)))
        yield gallery


def names(gallery: Gallery) -> dict[str, str | None]:
    return {person["id"]: person["name"] for person in gallery.json("people")["people"]}


# immich#13217: faces that come after a name learn from it at once.
def test_later_faces_get_the_name_that_was_given_before(family: Gallery) -> None:
    known = names(family)
    for face in family.json("faces")["faces"]:
        assert known[face["person"]] == folder_of(face).title()


# immich#16374 #8956: what people decided is lost after a refresh.
def test_names_survive_when_everything_is_said_again(family: Gallery) -> None:
    before = names(family)
    family.json("events", "resync")
    assert names(family) == before
    assert sorted(filter(None, before.values())) == [name.title() for name in NAMED]


# immich#12921 #6441: one person twice in one photo.
def test_nobody_is_twice_in_one_photo(family: Gallery) -> None:
    pairs = Counter((face["photo"], face["person"]) for face in family.json("faces")["faces"] if face["person"])
    assert max(pairs.values()) == 1


# immich discussion 31306: why was nothing recognised here?
def test_every_photo_and_every_face_says_how_it_stands(family: Gallery) -> None:
    for face in family.json("faces")["faces"]:
        assert family.json("face", face["id"])["evidence"]["rule"]
    photo = family.json("faces")["faces"][0]["photo"]
    stages = family.json("photo", photo)["stages"]
    assert {name: stage["state"] for name, stage in stages.items()} == dict.fromkeys(stages, "done")


# immich#31205: the queue is empty, work is left over, and nobody says so.
def test_nothing_is_left_over_in_silence(family: Gallery) -> None:
    status = family.json("status")
    assert status["consistent"]
    assert all(stage["pending"] == stage["failed"] == 0 for stage in status["stages"].values())
    assert family.json("dead-letters", "list")["dead_letters"] == []


# immich#7354: searching for people must not return a photo twice.
def test_a_search_for_several_people_gives_each_photo_once(family: Gallery) -> None:
    found = [photo["id"] for photo in family.json("search", "person:amy OR person:penny OR faces:>0")["photos"]]
    assert len(found) == len(set(found)) == family.json("status")["photos"]


# photoprism#1569: a rename of a person with many photos takes half a minute.
def test_a_rename_is_found_at_once(family: Gallery) -> None:
    family.json("name", "Raj", "Rajesh Koothrappali")
    assert family.json("search", 'person:"rajesh koothrappali"')["total"] == 5
    assert family.json("search", "person:raj")["total"] == 0
    family.json("name", "Rajesh Koothrappali", "Raj")
