"""``gallery import`` against a gallery that answers, refuses, stumbles, and goes away."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gallery.cli import sending, waiting
from gallery.runtime.http import ProblemError

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "ASK_EVERY_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "QUIET_FOR_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "AWAY_FOR_SECONDS", 0.05)


def photo(name: str) -> bytes:
    return b"\xff\xd8\xff\xe0" + name.encode()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    (folder / "summer").mkdir(parents=True)
    for name in ("a.jpg", "summer/b.jpg", "summer/c.jpg"):
        (folder / name).write_bytes(photo(name))
    (folder / "a.xmp").write_text("<x/>")
    return folder


def test_everything_is_brought_in_and_summed_up(call: Call, fake: Any, album: Path) -> None:
    fake.people = {"people": [{"faces": 3}, {"faces": 1}, {"faces": 2}], "unassigned_faces": 4}
    fake.busy_for = 5
    result = call("import", album, "--json")
    summary = result.json
    assert result.code == 0
    assert summary.pop("seconds") >= 0
    assert summary == {
        "found": 3,
        "accepted": 3,
        "already_stored": 0,
        "ignored": 1,
        "rejected": [],
        "done": 3,
        "failed": 0,
        "faces": 10,
        "people": 2,
        "unassigned_faces": 4,
    }
    assert {entry["path"] for entry in fake.received} == {"a.jpg", "summer/b.jpg", "summer/c.jpg"}
    assert all(entry["sha256"] and entry["modified"] for entry in fake.received)
    assert fake.busy_for == 0


def test_what_is_stored_is_not_sent_again(call: Call, fake: Any, album: Path) -> None:
    call("import", album, "--json")
    again = call("import", album, "--json").json
    assert (again["found"], again["accepted"], again["already_stored"]) == (3, 0, 3)
    assert len(fake.received) == 3


def test_the_same_bytes_twice_are_sent_once(call: Call, fake: Any, album: Path) -> None:
    (album / "copy.jpg").write_bytes(photo("a.jpg"))
    summary = call("import", album, "--json").json
    assert (summary["found"], summary["accepted"], summary["already_stored"]) == (4, 3, 1)
    assert len(fake.received) == 3


def test_rejected_files_are_named_and_the_others_taken(call: Call, fake: Any, album: Path) -> None:
    (album / "letter.jpg").write_bytes(b"dear Anna")
    (album / "letter copy.jpg").write_bytes(b"dear Anna")
    (album / "gone.jpg").symlink_to(album / "nowhere")
    fake.refuse[b"dear Anna"] = ("unsupported_type", "no photo")
    fake.undecodable.add(sha(photo("summer/b.jpg")))
    result = call("import", album, "--json")
    summary = result.json
    assert result.code == 2
    assert sorted((entry["path"], entry["code"]) for entry in summary["rejected"]) == [
        ("gone.jpg", "unreadable"),
        ("letter copy.jpg", "unsupported_type"),
        ("letter.jpg", "unsupported_type"),
        ("summer/b.jpg", "undecodable"),
    ]
    assert (summary["found"], summary["accepted"], summary["done"]) == (6, 3, 2)


@pytest.mark.parametrize("fault", ["lose_answers", "away"])
def test_a_gallery_that_stumbles_costs_nothing(call: Call, fake: Any, album: Path, fault: str) -> None:
    setattr(fake, fault, 2)
    summary = call("import", album, "--json").json
    assert (summary["accepted"], summary["already_stored"], summary["done"]) == (3, 0, 3)


def test_a_gallery_that_stays_away_ends_the_import_with_what_to_do(call: Call, fake: Any, album: Path) -> None:
    fake.away = 1000
    result = call("import", album, "--json")
    assert result.code == 1
    assert "run the import again" in result.err
    assert result.out == ""


def test_a_gallery_without_room_for_a_file_ends_the_import_with_what_to_do(call: Call, fake: Any, album: Path) -> None:
    fake.refuse[photo("summer/b.jpg")] = ProblemError(503, "storage_full", "no room")
    result = call("import", album, "--json")
    assert result.code == 1
    assert "free some space" in result.err
    assert result.out == ""
    fake.refuse.clear()
    again = call("import", album, "--json").json
    assert again["accepted"] + again["already_stored"] == 3


def test_a_reached_quota_ends_the_import_with_what_to_do(call: Call, fake: Any, album: Path) -> None:
    fake.refuse[photo("summer/b.jpg")] = ("quota_reached", "the library may hold 2 photos: raise its quota")
    result = call("import", album, "--json")
    assert (result.code, result.out) == (1, "")
    assert "raise its quota; the import goes on where it stopped" in result.err


def test_a_gallery_without_room_for_pictures_ends_the_import_with_what_to_do(
    call: Call, fake: Any, album: Path
) -> None:
    fake.room = 0
    result = call("import", album, "--json")
    assert result.code == 1
    assert "free some space" in result.err
    fake.room = 10**9
    assert call("import", album, "--json").json["already_stored"] == 3


def test_archives_are_imported_without_unpacking(call: Call, fake: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "album.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", photo("a"))
        archive.writestr("b.jpg", photo("b"))
    summary = call("import", tmp_path / "album.zip", "--json").json
    assert summary["accepted"] == 2
    assert set(fake.stored) == {sha(photo("a")), sha(photo("b"))}
    assert {entry["path"] for entry in fake.received} == {"album.zip/a.jpg", "album.zip/b.jpg"}


def test_a_folder_that_is_not_there_is_wrong_usage(call: Call, tmp_path: Path) -> None:
    result = call("import", tmp_path / "nowhere")
    assert result.code == 64
    assert "nowhere is not there" in result.err


def test_an_empty_folder_is_said_to_be_empty(call: Call, tmp_path: Path) -> None:
    result = call("import", tmp_path)
    assert result.code == 0
    assert "no photos" in result.out


def test_without_waiting_it_returns_once_all_is_stored(call: Call, fake: Any, album: Path) -> None:
    fake.busy_for = 10**6
    summary = call("import", album, "--no-wait", "--json").json
    assert summary["accepted"] == 3


def test_people_read_what_happened(call: Call, fake: Any, album: Path) -> None:
    (album / "[bold]letter.jpg").write_bytes(b"dear Anna")
    fake.refuse[b"dear Anna"] = ("unsupported_type", "no photo")
    fake.people = {"people": [{"faces": 3}], "unassigned_faces": 1}
    result = call("import", album)
    assert result.code == 2
    assert "[bold]letter.jpg" in result.out
    assert "unsupported_type" in result.out
    assert "1 person" in result.out
