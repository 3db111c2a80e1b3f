"""Times as cameras write them: a wall clock, perhaps its offset, perhaps fractions of a second."""

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from gallery.metadata.header.exif import Tags

_WALL = re.compile(
    r"^(\d{4})[:\-/.](\d{1,2})[:\-/.](\d{1,2})[ T]"
    r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d+))?)?\s*(Z|[+-]\d{2}:?\d{2})?$"
)
_OFFSET = re.compile(r"^([+-])(\d{2}):?(\d{2})$")
# The earliest photograph that survives is of 1826; a camera whose clock was never set writes year 0.
_EARLIEST_YEAR = 1826
_LARGEST_OFFSET = 14 * 60


@dataclass(frozen=True, slots=True)
class Stamp:
    """One time that the file gives.

    Attributes:
        source: Such as ``exif:DateTimeOriginal``.
        wall: What the clock on the wall showed, naive.
        offset: Minutes east of UTC; None when nobody said so, and then the time is local and not UTC.
    """

    source: str
    wall: datetime
    offset: int | None = None


def wall_time(text: str) -> tuple[datetime, int | None] | None:
    """Read EXIF's ``2008:05:30 15:56:01`` and XMP's and Apple's ISO 8601; None when it cannot be a time."""
    match = _WALL.match(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        wall = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))  # noqa: DTZ001 - a wall clock
    except ValueError:
        return None
    if wall.year < _EARLIEST_YEAR:
        return None
    return wall + fraction_of_second(fraction), offset_minutes(zone)


def fraction_of_second(digits: str | None) -> timedelta:
    """Digits after the point: ``054`` is 54 ms and ``85`` is 850 ms."""
    match = re.match(r"\d+", (digits or "").strip())
    return (
        timedelta(microseconds=math.floor(float(f"0.{match[0][:9]}") * 1e6 + 0.5) % 1_000_000) if match else timedelta()
    )


def offset_minutes(text: str | None) -> int | None:
    """Read ``+02:00``, ``-0530`` or ``Z``."""
    if text is None:
        return None
    if text.strip() == "Z":
        return 0
    match = _OFFSET.match(text.strip())
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return (-minutes if match[1] == "-" else minutes) if minutes <= _LARGEST_OFFSET else None


def of_exif(tags: Tags) -> list[Stamp]:
    """Original, digitized, changed: each with its own offset and fraction (EXIF 2.31, 4.6.5 F)."""
    rows = (
        ("DateTimeOriginal", "EXIF DateTimeOriginal", "EXIF SubSecTimeOriginal", "EXIF OffsetTimeOriginal"),
        ("DateTimeDigitized", "EXIF DateTimeDigitized", "EXIF SubSecTimeDigitized", "EXIF OffsetTimeDigitized"),
        ("DateTime", "Image DateTime", "EXIF SubSecTime", "EXIF OffsetTime"),
    )
    found = []
    for name, time, fraction, offset in rows:
        # Some writers put the original time into the first directory.
        text = tags.text(time, time.replace("EXIF", "Image"))
        parsed = wall_time(text) if text else None
        if parsed:
            zone = parsed[1] if parsed[1] is not None else offset_minutes(tags.text(offset))
            found.append(Stamp(f"exif:{name}", parsed[0] + fraction_of_second(tags.text(fraction)), zone))
    return found


def of_xmp(properties: dict[str, str]) -> list[Stamp]:
    """The times of an XMP packet, the best first."""
    names = ("exif:DateTimeOriginal", "photoshop:DateCreated", "exif:DateTimeDigitized", "xmp:CreateDate")
    found = []
    for name in names:
        parsed = wall_time(properties.get(name, ""))
        if parsed:
            found.append(Stamp(f"xmp:{name.partition(':')[2]}", *parsed))
    return found
