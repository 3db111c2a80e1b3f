"""One gallery a folder, and an address only while somebody answers."""

import json
from pathlib import Path

import pytest

from gallery.standalone.data_folder import DataFolderError, DataFolderInUseError, claimed


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with claimed(tmp_path / "data") as folder:
        assert folder.root.stat().st_mode & 0o777 == 0o700


def test_a_second_gallery_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(DataFolderInUseError, match="stop it first"), claimed(tmp_path):
        pass
    with claimed(tmp_path):
        pass


def test_the_address_is_there_while_it_is_served(tmp_path: Path) -> None:
    with claimed(tmp_path) as folder:
        folder.announce("http://127.0.0.1:1")
        assert json.loads((tmp_path / "gallery.json").read_text())["url"] == "http://127.0.0.1:1"
    assert not (tmp_path / "gallery.json").exists()


def test_an_address_left_by_a_killed_gallery_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gallery.json").write_text("{}")
    with claimed(tmp_path):
        assert not (tmp_path / "gallery.json").exists()


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match="--data"), claimed(tmp_path / "file" / "data"):
        pass
