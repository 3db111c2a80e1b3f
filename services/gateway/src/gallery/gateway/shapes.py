"""Bodies of the public API, as its description shows them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 in hex, lower case")]


class Answer(BaseModel):
    """What is answered may grow: clients pass over members that they don't know."""

    model_config = ConfigDict(extra="allow")


class Uploaded(Answer):
    """What became of one file."""

    file: str
    status: Literal["accepted", "already_stored", "rejected"]
    photo: UUID | None = None
    sha256: Digest | None = None
    code: str | None = Field(default=None, description="Why it was rejected, such as unsupported_type")
    detail: str | None = None


class UploadAnswer(Answer):
    """In the order of the form."""

    uploads: list[Uploaded]


class InPlace(BaseModel):
    """An original that stays where it is; what is said of it is as in the form."""

    place: str = Field(max_length=4096, description="Such as s3://bucket/key; the setting in_place has to name it")
    path: str = Field(description="Relative path or name")
    sha256: Digest | None = None
    lane: Literal["interactive", "backfill"] = "interactive"
    modified: datetime | None = None
    said: dict[str, Any] | None = None


class Hashes(BaseModel):
    """Files asked about before they are sent."""

    sha256: list[Digest] = Field(max_length=5000)


class Known(Answer):
    """Photos by the hash of their original, for those that are stored."""

    known: dict[str, UUID]


class PhotoIds(BaseModel):
    """Photos asked about."""

    ids: list[UUID] = Field(max_length=5000)


class Rejection(Answer):
    """Why a photo could not be analysed; its original is kept."""

    photo_id: UUID
    file: str
    code: str
    detail: str


class Progress(Answer):
    """How far photos are; those that nothing is known of yet are pending."""

    pending: int
    done: int
    failed: int
    rejected: list[Rejection]


class Stage(Answer):
    """How far one stage of one photo is."""

    state: Literal["pending", "done", "failed", "rejected"]
    reason: str | None = None
    pack: str | None = None
    attempts: int | None = None
    at: str | None = None


class Face(Answer):
    """A face; the box is [x, y, width, height] in pixels of the upright original."""

    id: UUID
    photo: UUID | None = None
    file: str | None = None
    box: list[float] | None = None
    score: float | None = None
    quality: Any = None
    person: UUID | None = None
    state: str


class FacePage(Answer):
    """A page of faces; ``next`` is the cursor of the following one."""

    faces: list[Face]
    next: str | None


class BriefPhoto(Answer):
    """A photo in the timeline."""

    id: UUID
    file: str
    type: str
    size: int
    dimensions: list[int] | None
    taken_at: str | None = Field(description="ISO 8601; without an offset it is the local time of the place")
    uploaded_at: str


class PhotoPage(Answer):
    """A page of the timeline, newest first; ``next`` is the cursor of the following one."""

    photos: list[BriefPhoto]
    next: str | None


class Photo(Answer):
    """Everything known of one photo; one that was only just uploaded has less."""

    id: UUID
    file: str
    sha256: Digest
    type: str
    size: int
    uploaded_at: str
    dimensions: list[int] | None = None
    taken_at: str | None = None
    offset_minutes: int | None = None
    taken_from: str | None = None
    camera: Any = None
    lens: Any = None
    exposure: Any = None
    gps: Any = None
    gps_from: str | None = Field(default=None, description="header, or such as takeout:geoData")
    place: Any = None
    faces: list[Any] = []
    tags: list[Any] = []
    text: str | None = None
    quality: Any = None
    hashes: Any = None
    said: Any = Field(default=None, description="What another gallery said of it: albums, names of people and more")
    stages: dict[str, Stage] = {}


class Person(Answer):
    """Somebody who was found; ``name`` is null when nobody said who it is."""

    id: UUID
    name: str | None
    faces: int
    photos: int
    cover_face: UUID | None


class People(Answer):
    """Everybody who was found."""

    people: list[Person]
    unassigned_faces: int


class Name(BaseModel):
    """What somebody is called; null takes the name away."""

    name: str | None = Field(max_length=200)


class PersonRef(Answer):
    """A person in a photo."""

    id: UUID
    name: str | None


class Hit(Answer):
    """A photo that matches."""

    id: UUID
    file: str
    taken_at: str | None
    people: list[PersonRef]
    tags: list[Any]
    score: float


class Found(Answer):
    """A page of what matches; ``next`` is the cursor of the following one."""

    photos: list[Hit]
    total: int
    next: str | None
    facets: dict[str, Any]
    took_ms: float


class StageCounts(Answer):
    """How many photos are in which state."""

    pending: int
    done: int
    failed: int
    rejected: int


class Status(Answer):
    """The ledger, and what is still on its way; ``room`` is how many bytes may still be stored, if anybody knows."""

    photos: int
    stages: dict[str, StageCounts]
    consistent: bool
    room: int | None = None


class LanePace(Answer):
    """How far one lane of a library is."""

    pending: int
    done_per_minute: float = Field(description="Over the last five minutes")
    seconds_left: int | None = Field(description="At that pace; null when nothing moves or the lane is paused")


class Cost(Answer):
    """What the newest backfill of a library has cost so far."""

    since: str | None = Field(description="When its first photo was asked for; null when there was never one")
    photos: int = Field(description="That were looked at")
    cpu_seconds: float = Field(description="Of the processors that decoded them and ran the models")
    original_bytes: int
    derived_bytes: int = Field(description="Of previews and thumbnails")


class Holding(Answer):
    """Originals that a library has."""

    photos: int
    bytes: int


Limit = Annotated[int | None, Field(default=None, ge=0, le=2**62, description="Null is no limit")]


class Quota(BaseModel):
    """How much a library may hold."""

    photos: Limit
    bytes: Limit


class Backfill(Answer):
    """How the photos of one library are worked through."""

    library: UUID
    paused: bool = Field(description="The backfill lane waits; what is interactive goes on")
    weight: int = Field(description="Turns in a round of all libraries")
    lanes: dict[Literal["interactive", "backfill"], LanePace]
    cost: Cost
    held: Holding
    quota: Quota


class Backfills(Answer):
    """All libraries."""

    libraries: list[Backfill]


class BackfillChange(BaseModel):
    """What is to be another than before."""

    paused: bool | None = None
    weight: int | None = Field(default=None, ge=1, le=10)
    quota: Quota | None = Field(default=None, description="A limit that is not named stays as it is")


class Finding(Answer):
    """Something that is not as it should be."""

    service: str
    kind: str


class Verification(Answer):
    """What a full check read and found."""

    objects: int
    findings: list[Finding]


class Fault(Answer):
    """An original that was not as it was stored when it was last read."""

    photo_id: UUID
    kind: Literal["missing", "damaged", "changed"]
    found_at: str


class Audit(Answer):
    """How far originals have been read back; ``ended_at`` is when the last whole round ended."""

    objects: int = Field(description="Of all libraries, in this round")
    began_at: str
    ended_at: str | None
    faults: list[Fault]


class EffectiveSetting(Answer):
    """A setting in force; secrets are masked."""

    name: str
    value: str
    source: str


class SettingsAnswer(Answer):
    """All settings in force."""

    settings: list[EffectiveSetting]


class DeadLetters(Answer):
    """Facts that could not be handled."""

    dead_letters: list[dict[str, Any]]
