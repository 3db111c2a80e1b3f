"""What the owners answer, as far as search looks at it."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Facts(BaseModel):
    """Frozen; what search does not look at is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Gps(Facts):
    """Degrees."""

    latitude: float
    longitude: float


class PlaceNames(Facts):
    """Names of where a photo was taken."""

    city: str | None = None
    region: str | None = None
    country: str | None = None
    country_code: str | None = None


class FaceFacts(Facts):
    """Who a face is; ``state`` is assigned, suggested, unassigned or ignored."""

    person_id: UUID | None = None
    state: str


class PhotoFacts(Facts):
    """A photo in the catalogue; ``taken_at`` is local time, with ``offset_minutes`` from UTC when that is known."""

    id: UUID
    revision: int
    file: str
    media_type: str
    uploaded_at: datetime
    taken_at: datetime | None = None
    offset_minutes: int | None = None
    camera: str | None = None
    gps: Gps | None = None
    place: PlaceNames | None = None
    faces: tuple[FaceFacts, ...] = ()


class TagFacts(Facts):
    """A label and its score, 0 to 1."""

    label: str
    score: float


class AnalysisFacts(Facts):
    """What the machine found in a photo."""

    id: UUID
    tags: tuple[TagFacts, ...] = ()


class PersonFacts(Facts):
    """A person and the name, if one was given."""

    id: UUID
    name: str | None = None


class PhotoAnswer(Facts):
    """The catalogue's answer."""

    photos: tuple[PhotoFacts, ...]


class AnalysisAnswer(Facts):
    """The worker's answer."""

    photos: tuple[AnalysisFacts, ...]


class PeopleAnswer(Facts):
    """The catalogue's answer about people."""

    people: tuple[PersonFacts, ...]
