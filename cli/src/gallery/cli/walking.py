"""Finding the photos and videos below some paths, in folders and in zip files."""

import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO

from gallery.cli.archives import walk_archive
from gallery.cli.errors import UsageError
from gallery.cli.found import Found, Rejected, Source, is_named_like_photo
from gallery.runtime.media_types import HEAD, detect

ARCHIVE = ".zip"


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
            _sort_in(path, path.name, found, root=str(path.parent))
    return found


def _walk_folder(folder: Path, found: Found) -> None:
    def unreadable(error: OSError) -> None:
        name = os.path.relpath(os.fsdecode(error.filename), folder)
        found.rejected.append(Rejected(_shown(name), "unreadable", _reason(error)))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = Path(parent) / name
                _sort_in(path, _shown(path.relative_to(folder).as_posix()), found, root=str(folder))


def _sort_in(path: Path, name: str, found: Found, *, root: str) -> None:
    """Put one file where it belongs: a source, rejected, ignored, or an archive to look into."""
    if path.suffix.lower() == ARCHIVE:
        walk_archive(path, name, found, root=root)
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
        said = partial(found.sidecars.said_of, root, name)
        found.sources.append(Source(name, status.st_size, modified, partial(_open, path), said))
    else:
        found.ignore(root, name, partial(_open, path))


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
