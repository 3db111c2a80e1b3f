"""Which gallery a command talks to."""

import fcntl
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gallery.cli import connection
from gallery.cli.connection import connected, running_on, started, token
from gallery.cli.errors import CommandError, UnreachableError, UsageError


def announce(data: Path, url: str) -> None:
    (data / "gallery.json").write_text(json.dumps({"url": url, "pid": 1}))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A data folder that a gallery holds."""
    with (tmp_path / "gallery.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield tmp_path


def test_the_gallery_on_the_data_folder_is_found_and_opened(tmp_path: Path, url: str, fake: Any) -> None:
    fake.people = {"people": [], "unassigned_faces": 7}
    announce(tmp_path, url)
    (tmp_path / "owner.token").write_text("open sesame\n")
    with connected(tmp_path, server=None) as gallery:
        assert gallery.get("/people")["unassigned_faces"] == 7


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"url": "http://127.0.0.1:9"}', '{"url": 3}'])
def test_an_address_that_nobody_answers_at_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "gallery.json").write_text(content)
    assert running_on(tmp_path) is None


def test_an_empty_folder_has_no_gallery(tmp_path: Path) -> None:
    assert running_on(tmp_path) is None
    assert running_on(tmp_path / "nowhere") is None


def test_a_gallery_that_is_starting_is_waited_for(held: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def start_now(_seconds: float) -> None:
        announce(held, url)

    monkeypatch.setattr(time, "sleep", start_now)
    assert running_on(held) == url


def test_a_gallery_that_never_answers_is_named(held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "START_WITHIN_SECONDS", 0.1)
    with pytest.raises(CommandError, match="does not answer"):
        running_on(held)


def test_a_token_in_the_environment_is_for_servers_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner.token").write_text("local\n")
    monkeypatch.setenv("GALLERY_TOKEN", "remote")
    assert token(tmp_path, server=None) == "local"
    assert token(tmp_path, server="http://gallery.example") == "remote"
    monkeypatch.delenv("GALLERY_TOKEN")
    with pytest.raises(UsageError, match="GALLERY_TOKEN"):
        token(tmp_path, server="http://gallery.example")


@pytest.mark.parametrize(("free", "said"), [(0, "free some space"), (10**12, "nobody there")])
def test_a_full_disk_is_named_when_a_gallery_went_away(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, free: int, said: str
) -> None:
    announce(tmp_path, url)
    (tmp_path / "owner.token").write_text("open sesame\n")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(CommandError, match=said), connected(tmp_path, server=None):
        raise UnreachableError("nobody there")


def test_a_gallery_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(CommandError), started(tmp_path / "data"):
        pass
