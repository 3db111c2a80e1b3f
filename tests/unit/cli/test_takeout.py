"""A made-up Google Takeout: what its sidecars say reaches the upload, whatever lies in which archive."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.cli import sending, uploading, waiting
from gallery.cli.takeout import LARGEST, LONGEST_FIELD, Sidecars, as_field, merged
from gallery.cli.walking import walk
from gallery.upload.said import read_said

Call = Callable[..., Any]
YEAR = "Takeout/Google Photos/Photos from 2015"
TRIP = "Takeout/Google Photos/Summer in Rome"
SIDECAR = {
    "title": "IMG_1.jpg",
    "description": "At the fountain",
    "photoTakenTime": {"timestamp": "1436695200", "formatted": "12.07.2015, 10:00:00 UTC"},
    "geoData": {"latitude": 41.9, "longitude": 12.48, "altitude": 21.0, "latitudeSpan": 0.0},
    "geoDataExif": {"latitude": 0.0, "longitude": 0.0},
    "people": [{"name": "Anna"}, {"name": "Ben"}],
    "favorited": True,
}
SAID = {
    "source": "takeout",
    "title": "IMG_1.jpg",
    "description": "At the fountain",
    "taken_at": "2015-07-12T10:00:00+00:00",
    "gps": {"latitude": 41.9, "longitude": 12.48, "altitude": 21.0, "source": "geoData"},
    "people": ["Anna", "Ben"],
    "favourite": True,
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "ASK_EVERY_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "QUIET_FOR_SECONDS", 0.01)


def photo(name: str) -> bytes:
    return b"\xff\xd8\xff\xe0" + name.encode()


def fill(folder: Path, content: dict[str, Any]) -> None:
    for name, written in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written if isinstance(written, bytes) else json.dumps(written).encode())


def pack(path: Path, content: dict[str, Any]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, written in content.items():
            archive.writestr(name, written if isinstance(written, bytes) else json.dumps(written))


def said(*paths: Path) -> dict[str, Any]:
    return {source.file.rpartition("/")[2]: source.said() for source in walk(paths).sources}


def test_a_folder_is_imported_with_all_that_its_sidecars_say(
    call: Call, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "FILES_A_SLICE", 1)
    fill(
        tmp_path,
        {
            f"{YEAR}/IMG_1.jpg": photo("1"),
            f"{YEAR}/IMG_1.jpg.supplemental-metadata.json": SIDECAR,
            f"{YEAR}/IMG_2.jpg": photo("22"),
            f"{YEAR}/IMG_2.jpg.json": b'{"title": "IMG_2.jpg", "photoTa',
            f"{YEAR}/IMG_3.jpg": photo("333"),
            f"{TRIP}/IMG_1.jpg": photo("1"),
            f"{TRIP}/IMG_1.jpg.json": SIDECAR,
            f"{TRIP}/Metadaten.json": {"title": "Summer in Rome"},
        },
    )
    summary = call("import", tmp_path, "--json").json
    assert (summary["found"], summary["accepted"], summary["already_stored"], summary["ignored"]) == (4, 3, 1, 4)
    sent = {entry["path"]: json.loads(entry.get("said", "null")) for entry in fake.received}
    assert sent == {
        f"{YEAR}/IMG_1.jpg": {**SAID, "albums": ["Summer in Rome"]},
        f"{YEAR}/IMG_2.jpg": None,
        f"{YEAR}/IMG_3.jpg": None,
    }


def test_a_sidecar_may_lie_in_another_part_of_the_same_export(tmp_path: Path) -> None:
    pack(tmp_path / "takeout-20240101T000000Z-001.zip", {f"{TRIP}/IMG_1.jpg": photo("1")})
    pack(tmp_path / "takeout-20240101T000000Z-002.zip", {f"{TRIP}/IMG_1.jpg.json": SIDECAR})
    pack(tmp_path / "takeout-20240101T000000Z-003.zip", {f"{TRIP}/metadata.json": {"title": "Rome"}})
    assert said(tmp_path) == {"IMG_1.jpg": {**SAID, "albums": ["Rome"]}}
    assert said(*sorted(tmp_path.iterdir())) == {"IMG_1.jpg": {**SAID, "albums": ["Rome"]}}


def test_parts_that_somebody_unpacked_side_by_side(tmp_path: Path) -> None:
    fill(tmp_path / "part 1", {f"{TRIP}/IMG_1.jpg": photo("1")})
    fill(tmp_path / "part 2", {f"{TRIP}/IMG_1.jpg.json": SIDECAR})
    assert said(tmp_path) == {"IMG_1.jpg": SAID}
    assert said(tmp_path / "part 1", tmp_path / "part 2") == {"IMG_1.jpg": SAID}


def test_the_exports_of_two_people_are_kept_apart(tmp_path: Path) -> None:
    pack(tmp_path / "anna-001.zip", {f"{YEAR}/IMG_1.jpg": photo("1")})
    pack(tmp_path / "ben-001.zip", {f"{YEAR}/IMG_1.jpg.json": SIDECAR})
    fill(tmp_path / "anna", {"IMG_9.jpg": photo("9")})
    fill(tmp_path / "ben", {"IMG_9.jpg.json": SIDECAR})
    assert said(tmp_path) == {"IMG_1.jpg": None, "IMG_9.jpg": None}
    assert said(tmp_path / "anna", tmp_path / "ben") == {"IMG_9.jpg": None}


def test_one_archive_of_its_own_part_comes_first(tmp_path: Path) -> None:
    other = {**SIDECAR, "description": "of another part"}
    pack(tmp_path / "takeout-1.zip", {f"{TRIP}/IMG_1.jpg.json": other})
    pack(tmp_path / "takeout-2.zip", {f"{TRIP}/IMG_1.jpg": photo("1"), f"{TRIP}/IMG_1.jpg.json": SIDECAR})
    assert said(tmp_path) == {"IMG_1.jpg": SAID}


def test_copies_share_the_sidecar_of_their_original(tmp_path: Path) -> None:
    copies = ("IMG_1.jpg", "IMG_1-edited.jpg", "IMG_1-bearbeitet.jpg", "IMG_1.MP4")
    fill(tmp_path, {"IMG_1.jpg.json": SIDECAR} | {name: photo(name) for name in copies})
    assert said(tmp_path) == dict.fromkeys(copies, SAID)


def test_a_title_tells_apart_what_was_cut_to_one_name(tmp_path: Path) -> None:
    beginning = "0123456789012345678901234567890123456789012345"
    sidecar = {"title": f"{beginning}a.jpg", "description": "of a"}
    fill(
        tmp_path,
        {f"{beginning}a.jpg": photo("a"), f"{beginning}b.jpg": photo("b"), f"{beginning}.json": sidecar},
    )
    found = said(tmp_path)
    assert found[f"{beginning}a.jpg"]["description"] == "of a"
    assert found[f"{beginning}b.jpg"] is None


def test_nothing_on_earth_is_at_zero_zero() -> None:
    assert read(SIDECAR | {"geoData": {"latitude": 0.0, "longitude": 0.0}})["gps"] is None
    exif = {"latitude": -1.5, "longitude": 0.0}
    found = read(SIDECAR | {"geoData": {"latitude": 0.0, "longitude": 0.0}, "geoDataExif": exif})
    assert found["gps"] == {**exif, "source": "geoDataExif"}


def read(document: Any) -> dict[str, Any]:
    """What is understood of a sidecar; every member is there."""
    import io

    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    sidecars = Sidecars()
    sidecars.add("", "a.jpg.json", lambda: io.BytesIO(content))
    return {"gps": None, "taken_at": None, **(sidecars.said_of("", "a.jpg") or {})}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"photoTakenTime": {"timestamp": "' + b"9" * 5000 + b'"}}',
        b'{"photoTakenTime": {"timestamp": "99999999999999"}}',
        b'{"photoTakenTime": 7, "geoData": [], "people": {}, "title": 3, "description": null}',
        b'{"geoData": {"latitude": NaN, "longitude": 1e999}}',
        b'{"geoData": {"latitude": 91, "longitude": 1}}',
        b'{"description": "\\ud800\\u0000"}',
        b'{"description": "' + b"x" * LARGEST + b'"}',
    ],
)
def test_a_malformed_sidecar_says_nothing(content: bytes) -> None:
    assert read(content) == {"gps": None, "taken_at": None}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "title": JSON,
            "description": st.text(max_size=5000) | JSON,
            "photoTakenTime": st.fixed_dictionaries({"timestamp": st.integers().map(str) | JSON}) | JSON,
            "geoData": st.dictionaries(st.sampled_from(["latitude", "longitude", "altitude"]), JSON) | JSON,
            "people": st.lists(st.fixed_dictionaries({"name": st.text(max_size=300) | JSON}), max_size=300) | JSON,
        },
    )
)
def test_whatever_a_sidecar_says_the_upload_takes(document: dict[str, Any]) -> None:
    understood = {name: value for name, value in read(document).items() if value is not None}
    if understood:
        assert read_said(as_field(understood))["source"] == "takeout"


@given(st.lists(st.text(min_size=1), max_size=300), st.text(max_size=2000))
def test_what_is_too_much_is_cut_and_still_taken(people: list[str], description: str) -> None:
    field = as_field({"source": "takeout", "people": [name * 50 for name in people], "description": description * 3})
    assert len(field.encode()) <= LONGEST_FIELD


def test_copies_in_several_albums_are_one_photo_in_all_of_them() -> None:
    one = {"source": "takeout", "albums": ["Rome"], "people": ["Anna"]}
    two = {"source": "takeout", "albums": ["Best of", "Rome"], "description": "x"}
    assert merged([one, None, two]) == {
        "source": "takeout",
        "albums": ["Rome", "Best of"],
        "people": ["Anna"],
        "description": "x",
    }
    assert merged([None, None]) is None
