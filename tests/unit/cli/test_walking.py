"""What counts as a photo below the paths of an import."""

import os
import zipfile
from pathlib import Path

import pytest

from gallery.cli.archives import MOST_EXPANSION, SMALL
from gallery.cli.errors import UsageError
from gallery.cli.found import Found
from gallery.cli.walking import walk

JPEG = b"\xff\xd8\xff\xe0" + bytes(100)


def files(found: Found) -> list[str]:
    return [source.file for source in found.sources]


def codes(found: Found) -> list[tuple[str, str]]:
    return [(entry.path, entry.code) for entry in found.rejected]


def read(found: Found) -> dict[str, bytes]:
    content = {}
    for source in found.sources:
        with source.opened() as opened:
            content[source.file] = opened.read()
    return content


def test_photos_are_found_by_name_or_by_content(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "a.jpg").write_bytes(b"not really")
    (tmp_path / "b" / "scan").write_bytes(JPEG)
    (tmp_path / "b" / "c" / "IMG.HEIC").touch()
    (tmp_path / "future.jxl").write_bytes(b"\xff\x0a")
    for sidecar in ("a.xmp", "a.json", "notes.txt"):
        (tmp_path / sidecar).write_text("{}")
    found = walk([tmp_path])
    assert files(found) == ["a.jpg", "future.jxl", "b/scan", "b/c/IMG.HEIC"]
    assert found.ignored == 3
    assert not found.rejected


def test_hidden_files_below_the_path_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / ".photos"
    (folder / ".thumbnails").mkdir(parents=True)
    (folder / ".thumbnails" / "a.jpg").write_bytes(JPEG)
    (folder / "._a.jpg").write_bytes(JPEG)
    (folder / "a.jpg").write_bytes(JPEG)
    found = walk([folder])
    assert files(found) == ["a.jpg"]
    assert found.ignored == 0


def test_links_in_circles_and_pipes_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "a.jpg").write_bytes(JPEG)
    assert files(walk([tmp_path])) == ["a.jpg"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    found = walk([tmp_path])
    assert codes(found) == [("gone.jpg", "unreadable")]
    assert found.ignored == 1


def test_names_that_are_no_utf8_are_still_told(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))).write_bytes(JPEG)
    assert files(walk([tmp_path])) == ["\ufffd.jpg"]


def test_several_paths_and_single_files(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "b.jpg").write_bytes(JPEG)
    assert files(walk([tmp_path / "b.jpg", tmp_path / "x"])) == ["b.jpg", "a.jpg"]


def test_a_path_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere is not there"):
        walk([tmp_path, tmp_path / "nowhere"])


def test_archives_are_looked_into(tmp_path: Path) -> None:
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep.jpg", JPEG)
    with zipfile.ZipFile(tmp_path / "album.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("summer/a.jpg", JPEG)
        archive.writestr("summer/scan", JPEG)
        archive.writestr("../../up.jpg", JPEG)
        archive.writestr("/root.jpg", JPEG)
        archive.writestr("__MACOSX/._a.jpg", JPEG)
        archive.writestr(".hidden/a.jpg", JPEG)
        archive.writestr("notes.txt", "text")
        archive.write(inner, "inner.zip")
    inner.unlink()
    found = walk([tmp_path])
    assert read(found) == dict.fromkeys(
        ["album.zip/summer/a.jpg", "album.zip/summer/scan", "album.zip/up.jpg", "album.zip/root.jpg"], JPEG
    )
    assert found.ignored == 2


def test_an_archive_that_would_fill_the_disk_is_refused_whole(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(SMALL + 1))
    assert (tmp_path / "bomb.zip").stat().st_size * MOST_EXPANSION < SMALL
    found = walk([tmp_path])
    assert codes(found) == [("bomb.zip", "archive_bomb")]
    assert not found.sources


def test_encrypted_entries_are_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", JPEG)
        archive.writestr("b.jpg", JPEG)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory, of the first entry
    path.write_bytes(content)
    found = walk([tmp_path])
    assert codes(found) == [("secret.zip/a.jpg", "encrypted")]
    assert files(found) == ["secret.zip/b.jpg"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", bytes(1000)])
def test_a_broken_archive_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.zip").write_bytes(content)
    assert codes(walk([tmp_path])) == [("broken.zip", "corrupt_archive")]


def test_a_broken_entry_does_not_stop_the_others(tmp_path: Path) -> None:
    path = tmp_path / "half.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", JPEG * 100)
        archive.writestr("b.jpg", JPEG * 200)
    content = bytearray(path.read_bytes())
    content[40:50] = b"\xff" * 10
    path.write_bytes(content)
    found = walk([tmp_path])
    assert codes(found) == [("half.zip/a.jpg", "corrupt_archive")]
    assert files(found) == ["half.zip/b.jpg"]
