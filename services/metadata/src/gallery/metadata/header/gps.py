"""GPS position and time, with the doubt that they deserve.

Refused whole: a latitude beyond 90 or a longitude beyond 180 degrees, minutes or seconds of 60 and more, degrees
without denominator, exactly (0, 0) (what receivers write without a fix), status ``V`` (no fix). A reference that is
missing or no letter of the compass leaves the sign that the value has. Source: CIPA DC-008 4.6.6.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gallery.metadata.header.exif import Tags

_FARTHEST_METRES = 100_000.0
_BELOW_SEA = 1
_DAY_MINUTES = 60
_ISO_6709 = re.compile(r"^([+-]\d+(?:\.\d+)?)([+-]\d+(?:\.\d+)?)([+-]\d+(?:\.\d+)?)?")
_XMP_ANGLE = re.compile(r"^(\d+),(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?([NSEW])$")
_FIRST_SATELLITES = 1980  # the epoch of GPS time; a receiver that says less has no fix


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees, north and east positive; metres above the sea; degrees clockwise from north."""

    latitude: float
    longitude: float
    altitude: float | None = None
    direction: float | None = None


def checked(
    latitude: float, longitude: float, altitude: float | None = None, direction: float | None = None
) -> Position | None:
    """Give a position that can be, or none."""
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        return None
    if abs(latitude) > 90 or abs(longitude) > 180 or (latitude == 0 and longitude == 0):  # noqa: PLR2004 - the globe
        return None
    return Position(
        latitude=latitude,
        longitude=longitude,
        altitude=altitude if altitude is not None and abs(altitude) < _FARTHEST_METRES else None,
        direction=direction if direction is not None and 0 <= direction <= 360 else None,  # noqa: PLR2004 - a circle
    )


def position(tags: Tags) -> Position | None:
    """Read the position from EXIF."""
    if (tags.text("GPS GPSStatus") or "A").upper() == "V":
        return None
    latitude = _angle(tags.numbers("GPS GPSLatitude"), tags.text("GPS GPSLatitudeRef"), "S")
    longitude = _angle(tags.numbers("GPS GPSLongitude"), tags.text("GPS GPSLongitudeRef"), "W")
    if latitude is None or longitude is None:
        return None
    return checked(latitude, longitude, _altitude(tags), tags.number("GPS GPSImgDirection"))


def _angle(parts: list[float], reference: str | None, negative: str) -> float | None:
    """Degrees, minutes, seconds; trailing ones may be missing, and some writers leave 0/0 for them."""
    if not parts or not math.isfinite(parts[0]):
        return None
    small = [part if math.isfinite(part) else 0.0 for part in parts[1:3]]
    if any(not 0 <= part < _DAY_MINUTES for part in small):
        return None
    size = abs(parts[0]) + math.fsum(part / scale for part, scale in zip(small, (60.0, 3600.0), strict=False))
    below = (reference or "").strip().upper()[:1] == negative or math.copysign(1.0, parts[0]) < 0
    return -size if below else size


def _altitude(tags: Tags) -> float | None:
    """Metres; reference 1 (and 3 of EXIF 3.0) is below the sea."""
    metres = tags.number("GPS GPSAltitude")
    if metres is None:
        return None
    reference = tags.number("GPS GPSAltitudeRef")
    return -metres if reference is not None and int(reference) & _BELOW_SEA else metres


def instant(tags: Tags) -> datetime | None:
    """UTC by the satellites: the date stamp with the time stamp."""
    stamp = tags.text("GPS GPSDate", "GPS GPSDateStamp")
    clock = tags.numbers("GPS GPSTimeStamp")
    digits = re.fullmatch(r"(\d{4})\D(\d{1,2})\D(\d{1,2}).*", stamp or "")
    if digits is None or len(clock) != 3 or not all(math.isfinite(part) and part >= 0 for part in clock):  # noqa: PLR2004
        return None
    if clock[0] >= 24 or clock[1] >= _DAY_MINUTES or clock[2] > _DAY_MINUTES:  # noqa: PLR2004 - a day
        return None
    try:
        day = datetime(*(int(part) for part in digits.groups()), tzinfo=UTC)  # type: ignore[arg-type,misc]
        moment = day + timedelta(hours=clock[0], minutes=clock[1], seconds=clock[2])
    except (ValueError, OverflowError):
        return None
    return moment if moment.year >= _FIRST_SATELLITES else None


def of_film(text: str) -> Position | None:
    """Read Apple's and Android's location of a film, ISO 6709 in decimal degrees: ``+50.0477+008.5723+103.846/``."""
    match = _ISO_6709.match(text.strip())
    if match is None:
        return None
    latitude, longitude, altitude = match.groups()
    return checked(float(latitude), float(longitude), float(altitude) if altitude else None)


def of_xmp(latitude: str, longitude: str) -> Position | None:
    """Read XMP's degrees: ``50,2.8646N`` or ``50,2,51.88N``."""
    pair = []
    for text in (latitude, longitude):
        match = _XMP_ANGLE.match(text.strip())
        if match is None:
            return None
        degrees, minutes, seconds, reference = match.groups()
        angle = _angle(
            [float(degrees), float(minutes), float(seconds or 0)], reference, "S" if reference in "NS" else "W"
        )
        pair.append(math.nan if angle is None else angle)
    return checked(pair[0], pair[1])
