"""What another gallery said of a photo, as far as the catalogue believes it where the header is silent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gallery.metadata.domain import Gps
from gallery.metadata.taken import TAKEOUT, Stamp


@dataclass(frozen=True, slots=True)
class Hearsay:
    """Time and position; ``gps_from`` says which position it was, such as ``takeout:geoData``."""

    taken: Stamp | None = None
    gps: Gps | None = None
    gps_from: str | None = None


def told(said: Mapping[str, Any] | None) -> Hearsay:
    """Read what upload keeps; what it has checked can be relied on."""
    if said is None:
        return Hearsay()
    gps = said.get("gps")
    return Hearsay(
        taken=_instant(said["taken_at"]) if "taken_at" in said else None,
        gps=Gps(gps["latitude"], gps["longitude"], gps.get("altitude")) if gps else None,
        gps_from=f"{said['source']}:{gps.get('source', 'geoData')}" if gps else None,
    )


def _instant(text: str) -> Stamp | None:
    try:
        return Stamp(TAKEOUT, datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None), 0)
    except OverflowError:  # at the ends of the calendar
        return None
