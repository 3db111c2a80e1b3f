"""Finding the photos and videos below some paths, in folders and in zip files."""

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from gallery.cli.errors import UsageError
from gallery.runtime.media_types import HEAD, detect

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".heic", ".heif", ".hif", ".avif", ".gif", ".tif", ".tiff", ".bmp"}
    | {".mp4", ".m4v", ".mov", ".webm", ".jxl", ".jp2"}
    | {".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".raf"}
)
"""A file of such a name is meant to be a photo or video, whatever is in it."""

MOST_ENTRIES = 200_000
MOST_TIMES_LARGER = 200
"""Of a zip file; photos are compressed already and hardly grow, so more is a bomb."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file to import.

    Attributes:
        file: Path below what was named, with slashes.
        size: Bytes.
        opened: Opens it for reading.
    """

    file: str
    size: int
    modified: datetime
    opened: Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that was not taken, and why."""

    path: str
    code: str
    detail: str


@dataclass(slots=True)
class Found:
    """Everything below the paths of one import."""

    sources: list[Source] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ignored: int = 0


def walk(paths: Sequence[Path]) -> Found:
    """Find what to import.

    Raises:
        UsageError: A path is not there.
    """
    found = Found()
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} is not there")
        if path.is_dir():
            _walk_folder(path, found)
        else:
            _sort_in(path, path.name, found)
    return found


def _walk_folder(folder: Path, found: Found) -> None:
    def unreadable(error: OSError) -> None:
        name = os.path.relpath(str(error.filename), folder)
        found.rejected.append(Rejected(name, "unreadable", error.strerror or "it cannot be read"))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = Path(parent) / name
                _sort_in(path, path.relative_to(folder).as_posix(), found)


def _sort_in(path: Path, name: str, found: Found) -> None:
    """Put one file where it belongs: a source, rejected, ignored, or a zip file to look into."""
    try:
        status = path.stat()
        with path.open("rb") as opened:
            head = opened.read(HEAD)
    except OSError as error:
        found.rejected.append(Rejected(name, "unreadable", error.strerror or "it cannot be read"))
        return
    if zipfile.is_zipfile(path) and path.suffix.lower() == ".zip":
        _walk_zip(path, name, found)
    elif _is_meant(name, head):
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        found.sources.append(Source(name, status.st_size, modified, partial(_open_file, path)))
    else:
        found.ignored += 1


def _is_meant(name: str, head: bytes) -> bool:
    return detect(head) is not None or PurePosixPath(name).suffix.lower() in EXTENSIONS


def _walk_zip(path: Path, name: str, found: Found) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _refuse_bomb(entries)
            for entry in entries:
                _sort_entry_in(path, archive, entry, found)
    except (zipfile.BadZipFile, OSError, ZipBombError) as error:
        code = "zip_bomb" if isinstance(error, ZipBombError) else "bad_zip"
        found.rejected.append(Rejected(name, code, str(error)))


class ZipBombError(Exception):
    """A zip file that unpacks to far more than photos ever do."""


def _refuse_bomb(entries: Sequence[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise ZipBombError(f"the zip file has {len(entries)} entries, more than {MOST_ENTRIES}")
    packed, unpacked = sum(entry.compress_size for entry in entries), sum(entry.file_size for entry in entries)
    if unpacked > MOST_TIMES_LARGER * max(packed, 1):
        raise ZipBombError(f"the zip file unpacks to {unpacked // max(packed, 1)} times its size")


def _sort_entry_in(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, found: Found) -> None:
    name = entry.filename
    if any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts):
        return
    if entry.flag_bits & 1:
        found.rejected.append(Rejected(name, "encrypted", "the zip entry needs a password: unpack it first"))
        return
    with archive.open(entry) as opened:
        head = opened.read(HEAD)
    if _is_meant(name, head):
        modified = datetime(*entry.date_time, tzinfo=UTC)
        found.sources.append(Source(name, entry.file_size, modified, partial(_open_entry, path, entry.filename)))
    else:
        found.ignored += 1


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_entry(path: Path, name: str) -> IO[bytes]:
    return zipfile.ZipFile(path).open(name)


def chunks(opened: IO[bytes], size: int = 1 << 18) -> Iterator[bytes]:
    """Read an open file piece by piece."""
    while piece := opened.read(size):
        yield piece
