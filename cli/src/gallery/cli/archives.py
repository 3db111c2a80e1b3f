"""Photos inside zip files, read one after the other without unpacking anything to disk."""

import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

from gallery.cli.faults import FAULTS
from gallery.cli.found import Found, Rejected, Source, is_named_like_photo
from gallery.runtime.media_types import HEAD, detect

MOST_ENTRIES = 200_000
"""A directory of more takes more memory than photos are worth."""

MOST_EXPANSION = 50
"""How many times larger than the archive its content may be. Photos hardly shrink; plain bitmaps do, tenfold."""

SMALL = 16 * 2**20
"""Bytes below which expansion harms nobody, so that a page of text or a black picture is fine."""

ENCRYPTED = 0x1
"""Bit of an entry's flags (APPNOTE.TXT, section 4.4.4)."""


def walk_archive(path: Path, name: str, found: Found, *, root: str) -> None:
    """Find what is in a zip file below ``root``; archives inside it are not followed."""
    try:
        archive = zipfile.ZipFile(path)
    except FAULTS as error:
        code = "unreadable" if isinstance(error, OSError) else "corrupt_archive"
        found.rejected.append(Rejected(name, code, f"the archive cannot be read: {error}"))
        return
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if harm := _harm(entries, packed=path.stat().st_size):
        found.rejected.append(Rejected(name, "archive_bomb", harm))
        return
    for entry in entries:
        parts = [part for part in PurePosixPath(entry.filename.replace("\\", "/")).parts if part not in {"/", ".."}]
        if not any(part.startswith((".", "__MACOSX")) for part in parts):
            _sort_in(archive, entry, "/".join([name, *parts]), found, root=root)


def _harm(entries: list[zipfile.ZipInfo], *, packed: int) -> str | None:
    """Say how this archive would fill a disk, if it would. Declared sizes hold: reading stops there."""
    if len(entries) > MOST_ENTRIES:
        return f"it has {len(entries)} files; more than {MOST_ENTRIES} are not taken from one archive"
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > SMALL and unpacked > MOST_EXPANSION * packed:
        return f"it would unpack to {unpacked // packed} times its size"
    return None


def _sort_in(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, found: Found, *, root: str) -> None:
    opened = partial(archive.open, entry)
    named = is_named_like_photo(name)
    fault = _fault(archive, entry)
    if fault is not None and named:
        found.rejected.append(Rejected(name, *fault))
    elif fault is None and (named or _has_photo_inside(archive, entry)):
        # The archive's times are local to nobody knows where, so they are not passed on.
        found.sources.append(Source(name, entry.file_size, None, opened, partial(found.sidecars.said_of, root, name)))
    else:
        found.ignore(root, name, opened)


def _fault(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Code and sentence of why an entry cannot be read; None when it can."""
    if entry.flag_bits & ENCRYPTED:
        return "encrypted", "it is encrypted in its archive: unpack it first"
    try:
        with archive.open(entry) as opened:
            opened.read(HEAD)
    except FAULTS as error:
        return "corrupt_archive", f"it cannot be read from its archive: {error}"
    return None


def _has_photo_inside(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    with archive.open(entry) as opened:
        return detect(opened.read(HEAD)) is not None
