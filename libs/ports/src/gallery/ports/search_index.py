"""Where search documents are kept and matched, term by term, without an opinion on language."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Document:
    """What is searchable of one photo. Terms are analysed already; engines match them verbatim.

    Attributes:
        photo_id: UUIDv7.
        library_id: The tenant.
        revision: Of the document; an older one never replaces a newer one.
        taken_at: Local time of the photo, naive; the sort order is (taken_at, photo_id), newest first.
        uploaded_at: When it came in.
        terms: ``field:term`` strings, such as ``tag:dog`` or ``file:img_1``; words are matched in every field.
        tag_scores: Score of each ``tag:`` term, 0 to 1; the keys are whole terms.
        person_ids: People resolved in the photo.
        faces: Number of faces that count.
        unresolved_faces: Of these, those without a person.
        position: (latitude, longitude) in degrees.
    """

    photo_id: UUID
    library_id: UUID
    revision: int
    taken_at: datetime
    uploaded_at: datetime
    terms: frozenset[str]
    tag_scores: dict[str, float] = field(default_factory=dict)
    person_ids: frozenset[UUID] = frozenset()
    faces: int = 0
    unresolved_faces: int = 0
    position: tuple[float, float] | None = None


# A condition is a tree of these; names of people have become ids before it gets here.


@dataclass(frozen=True, slots=True)
class HasTerm:
    """One of these ``field:term`` strings is in the document."""

    any_of: frozenset[str]
    above: float | None = None
    """For tags: only with a score greater than this."""


@dataclass(frozen=True, slots=True)
class HasPerson:
    """One of these people is in the photo; no people, no photo."""

    any_of: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class TakenBetween:
    """Local time in [start, end)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class UploadedBetween:
    """Came in at a time, aware, in [start, end)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class FaceCount:
    """Number of faces in [least, most]."""

    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """Within ``kilometres`` of a place, along the great circle."""

    latitude: float
    longitude: float
    kilometres: float


@dataclass(frozen=True, slots=True)
class Everything:
    """Matches every document."""


@dataclass(frozen=True, slots=True)
class All:
    """Every part matches."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part matches."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not match."""

    part: "Condition"


DEEPEST = 25
"""Levels of All, AnyOf and Not within one another that every index answers; a deeper condition may be refused."""

Condition = HasTerm | HasPerson | TakenBetween | UploadedBetween | FaceCount | Near | Everything | All | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the timeline order, as a page's last row left it."""

    taken_at: datetime
    photo_id: UUID


@dataclass(frozen=True, slots=True)
class Page:
    """Matching places, newest first; ``more`` when others follow the last one."""

    hits: tuple[Place, ...]
    more: bool


class SearchIndex(Protocol):
    """A read model; it can be dropped and filled again while it answers."""

    async def put(self, documents: Sequence[Document]) -> None:
        """Keep these, each unless a newer revision is there; one of the same revision replaces."""
        ...

    async def delete(self, library_id: UUID, photo_ids: Sequence[UUID], *, revision: int) -> None:
        """Forget these photos, each unless a newer revision is there; unknown ids are fine.

        That a photo was forgotten, and at which revision, is remembered like a document: an older one that is still on
        its way, from a loop that hung, must not bring the photo back.
        """
        ...

    async def find(self, library_id: UUID, condition: Condition, *, after: Place | None, limit: int) -> Page:
        """One page, newest first, beginning behind ``after``."""
        ...

    async def count(self, library_id: UUID, condition: Condition) -> int:
        """How many documents match."""
        ...

    async def known(self, library_id: UUID, terms: Collection[str]) -> frozenset[str]:
        """Those of these ``field:term`` strings that some document has."""
        ...

    async def dictionary(self, library_id: UUID, *, shortest: int, longest: int) -> frozenset[str]:
        """``field:term`` strings whose term is all letters and so many characters long, for typo candidates.

        May hold terms that no document has any more: ask ``known`` about the chosen ones.
        """
        ...
