"""Finding the photos and videos below some paths, in folders and in zip files."""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from gallery.cli.errors import UsageError
from gallery.runtime.media_types import HEAD, detect

# Endings under which cameras, phones and scanners write. Some name formats that the gallery does not take in: such a
# file is a photo all the same, and is told so instead of being passed over.
ENDINGS = frozenset(
    {".avif", ".avifs", ".bmp", ".gif", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg"}
    | {".j2k", ".jp2", ".jxl", ".png", ".tif", ".tiff", ".webp"}
    | {".3g2", ".3gp", ".m4v", ".mov", ".mp4", ".qt", ".webm"}
    | {".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srw"}
)
ARCHIVE = ".zip"


@dataclass(frozen=True, slots=True)
class Source:
    """One file to import: a photo or video by content or name.

    Attributes:
        file: Path below what was named, with slashes; one in an archive begins with the archive's name.
        size: Bytes.
        modified: When it was last changed; None when its source does not say in which zone.
        opened: Opens it for reading.
    """

    file: str
    size: int
    modified: datetime | None
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
    """Find what to import, in the order of names; hidden files below a folder are passed over.

    Links to folders are not followed, so that no walk goes in circles.

    Raises:
        UsageError: A path is not there.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} is not there")
    found = Found()
    for path in paths:
        if path.is_dir():
            _walk_folder(path, found)
        else:
            _sort_in(path, path.name, found)
    return found


def is_named_like_photo(name: str) -> bool:
    """Whether the ending says that it is a photo or video."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def _walk_folder(folder: Path, found: Found) -> None:
    def unreadable(error: OSError) -> None:
        name = os.path.relpath(os.fsdecode(error.filename), folder)
        found.rejected.append(Rejected(_shown(name), "unreadable", _reason(error)))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = Path(parent) / name
                _sort_in(path, _shown(path.relative_to(folder).as_posix()), found)


def _sort_in(path: Path, name: str, found: Found) -> None:
    """Put one file where it belongs: a source, rejected, ignored, or an archive to look into."""
    if path.suffix.lower() == ARCHIVE:
        from gallery.cli.archives import walk_archive

        walk_archive(path, name, found)
        return
    named = is_named_like_photo(name)
    try:
        status = path.stat()
        meant = stat.S_ISREG(status.st_mode) and (_has_photo_inside(path) or named)
    except OSError as error:
        if named:
            found.rejected.append(Rejected(name, "unreadable", _reason(error)))
        else:
            found.ignored += 1
        return
    if meant:
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        found.sources.append(Source(name, status.st_size, modified, partial(_open, path)))
    else:
        found.ignored += 1


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _has_photo_inside(path: Path) -> bool:
    """Look at the content, which also tells whether it can be read at all."""
    with path.open("rb") as opened:
        return detect(opened.read(HEAD)) is not None


def _shown(name: str) -> str:
    """A name that is not UTF-8 on disk is still to be told, as JSON and in a request."""
    return os.fsencode(name).decode(errors="replace")


def _reason(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"
