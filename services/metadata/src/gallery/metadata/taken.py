"""When a photo was taken: which of all the times that a file gives.

Order of precedence:

1. EXIF ``DateTimeOriginal``, then ``DateTimeDigitized``, each with its own fraction and offset;
2. XMP ``exif:DateTimeOriginal``, ``photoshop:DateCreated``, ``exif:DateTimeDigitized``, ``xmp:CreateDate``;
   for films Apple's ``creationdate`` (local with offset), then ``mvhd`` (UTC);
3. the satellites' time (UTC);
4. EXIF ``DateTime``: when the file was last changed, often by an editor years later;
5. what another gallery said (UTC), such as ``photoTakenTime`` of a Google Takeout;
6. the file's name (``IMG_20240131_235959``, ``2024-01-31 23.59.59``, ``IMG-20240131-WA0001``);
7. the time of the file where it came from (UTC);
8. the time of the upload (UTC).

A wall clock gets its offset from its own offset tag, else from XMP when that gives the very same second with one, else
from the satellites' time when the difference is an offset that exists on Earth, within five minutes (a fix may be old,
a camera's clock may drift). Otherwise it stays without: a local time, never UTC. An instant in UTC is shown as the
clock of the place where the photo was taken when that is known, else as UTC.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gallery.metadata.domain import Taken

CHANGED = "exif:DateTime"
TAKEOUT = "takeout:photoTakenTime"
UTC_SOURCES = frozenset({"quicktime:mvhd", "gps", TAKEOUT, "file_time", "upload_time"})
_DRIFT = timedelta(minutes=5)
# Offsets in use that are not whole hours, in minutes (IANA time zone database 2025b).
_ODD_OFFSETS = (-570, -210, 210, 270, 330, 345, 390, 525, 570, 630, 765)
OFFSETS = (*range(-12 * 60, 15 * 60, 60), *_ODD_OFFSETS)
_HOUR, _SIXTIETH = r"(?:[01]\d|2[0-3])", r"[0-5]\d"
_NAME = re.compile(
    r"(?<!\d)(?P<day>(?:19|20)\d{2}[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01]))"
    rf"(?:[-_ T.]{{0,3}}(?:at )?(?P<clock>{_HOUR}[-_.:h]?{_SIXTIETH}[-_.:m]?{_SIXTIETH})(?:\d{{3}})?)?(?!\d)"
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """One time that a header gives; ``offset`` in minutes, None when it is local."""

    source: str
    wall: datetime
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Clues:
    """All that may say when.

    Attributes:
        stamps: From the header, in any order of the first four ranks, the better first.
        instant: The satellites' UTC, naive.
        said: Of another gallery, in UTC.
        file: Name of the file.
        modified_at: Time of the file where it came from.
        uploaded_at: When it came in.
        zone: IANA name of the place's time zone.
    """

    stamps: Sequence[Stamp]
    instant: datetime | None
    file: str
    modified_at: datetime | None
    uploaded_at: datetime
    zone: str | None
    said: Stamp | None = None


def choose(clues: Clues) -> Taken:
    """Pick the time by the order above; there always is one."""
    ranked = [stamp for stamp in clues.stamps if stamp.source != CHANGED]
    if clues.instant is not None:
        ranked.append(Stamp("gps", clues.instant, 0))
    ranked += [stamp for stamp in clues.stamps if stamp.source == CHANGED]
    if clues.said is not None:
        ranked.append(clues.said)
    named = of_name(clues.file)
    if named is not None:
        ranked.append(Stamp("file_name", named))
    if clues.modified_at is not None:
        ranked.append(Stamp("file_time", clues.modified_at.astimezone(UTC).replace(tzinfo=None), 0))
    ranked.append(Stamp("upload_time", clues.uploaded_at.astimezone(UTC).replace(tzinfo=None), 0))
    return _with_offset(ranked[0], clues)


def _with_offset(best: Stamp, clues: Clues) -> Taken:
    if best.source in UTC_SOURCES:
        return _at_place(best, clues.zone)
    if best.offset is not None:
        return Taken(best.wall, best.offset, best.source, "header")
    second = best.wall.replace(microsecond=0)
    for other in clues.stamps:
        if other.offset is not None and other.source not in UTC_SOURCES and other.wall.replace(microsecond=0) == second:
            return Taken(best.wall, other.offset, best.source, "header")
    derived = offset_between(best.wall, clues.instant) if clues.instant and best.source.endswith("Original") else None
    return Taken(best.wall, derived, best.source, None if derived is None else "gps_time")


def offset_between(wall: datetime, instant: datetime) -> int | None:
    """Minutes that a wall clock is ahead of a UTC instant, when that is an offset that exists."""
    ahead = wall - instant
    nearest = min(OFFSETS, key=lambda minutes: abs(ahead - timedelta(minutes=minutes)))
    return nearest if abs(ahead - timedelta(minutes=nearest)) <= _DRIFT else None


def _at_place(best: Stamp, zone: str | None) -> Taken:
    """Turn an instant into the clock of its place."""
    try:
        offset = best.wall.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset() if zone else None
    except (ZoneInfoNotFoundError, ValueError, OverflowError):
        offset = None
    if offset is None:
        return Taken(best.wall, 0, best.source, "clock")
    minutes = round(offset.total_seconds() / 60)
    return Taken(best.wall + timedelta(minutes=minutes), minutes, best.source, "place")


def of_name(file: str) -> datetime | None:
    """Read the date in a file's name, and the clock where there is one; None when it holds none that can be."""
    for match in _NAME.finditer(file.replace("\\", "/").rpartition("/")[2]):
        day, clock = (re.sub(r"\D", "", match[part] or "") for part in ("day", "clock"))
        try:
            return datetime.strptime(day + (clock or "000000"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - a wall clock
        except ValueError:
            continue
    return None
