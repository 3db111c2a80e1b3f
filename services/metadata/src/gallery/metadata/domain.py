"""What the catalogue knows, and the rules that need nothing but themselves."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Stage(StrEnum):
    """What happens to each photo, in the order in which people ask for it."""

    DESCRIBED = "described"
    RENDERED = "rendered"
    FACES = "faces"
    TAGS = "tags"
    TEXT = "text"
    PEOPLE = "people"
    INDEXED = "indexed"


class State(StrEnum):
    """How far a stage of a photo is. ``failed`` is ours and can be asked for again; ``rejected`` is the file's."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"


ORIGINAL_MISSING, ORIGINAL_CHANGED = "original_missing", "original_changed"
ORIGINAL_UNREADABLE = "original_unreadable"
ORIGINAL_GONE = frozenset({ORIGINAL_MISSING, ORIGINAL_CHANGED, ORIGINAL_UNREADABLE})
"""Why a photo cannot be described: its bytes are not there, not what they were, or in a bucket that keeps them."""


class FaceState(StrEnum):
    """What is said of a face."""

    ASSIGNED = "assigned"
    SUGGESTED = "suggested"
    UNASSIGNED = "unassigned"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Gps:
    """Degrees, north and east positive; metres above the sea; direction of view clockwise from north."""

    latitude: float
    longitude: float
    altitude: float | None = None
    direction: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A name for a position; ``timezone`` is the IANA name that holds there."""

    city: str | None
    region: str | None
    country: str
    country_code: str
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """When a photo was taken.

    Attributes:
        wall: Local time of the place, naive: the timeline's order.
        offset: Minutes east of UTC, None when nobody said so. A time without it is local, never UTC.
        source: Where the time came from, such as ``exif:DateTimeOriginal`` or ``file_name``.
        offset_source: Where the offset came from: ``header``, ``gps_time``, ``place``, ``clock``; None with the offset.
    """

    wall: datetime
    offset: int | None
    source: str
    offset_source: str | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """What a file's header gave, the best time chosen from it.

    Attributes:
        gps_from: ``header``, or such as ``takeout:geoData``; None without a position.
    """

    taken: Taken
    camera: str | None = None
    lens: str | None = None
    exposure: dict[str, Any] = field(default_factory=dict)
    orientation: int = 1
    gps: Gps | None = None
    gps_from: str | None = None
    place: Place | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Original:
    """What upload says of a photo.

    Attributes:
        file: Path as imported, relative to the imported folder.
        modified_at: The file's own time where it came from, None when unknown.
        said: What another gallery said of it, as upload keeps it.
    """

    photo_id: UUID
    file: str
    size: int
    sha256: bytes
    media_type: str
    blob_key: str
    uploaded_at: datetime
    modified_at: datetime | None = None
    said: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stage of a photo ended."""

    stage: Stage
    state: State
    reason: str = ""
    pack: str = ""
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Proposal:
    """Whom the machine sees in a face."""

    face_id: UUID
    person_id: UUID | None
    state: FaceState
