"""Search documents in memory: the plain meaning of every condition, against which engines are checked."""

import math
from collections.abc import Collection, Sequence
from uuid import UUID

from gallery.ports.search_index import (
    All,
    AnyOf,
    Condition,
    Document,
    Everything,
    FaceCount,
    HasPerson,
    HasTerm,
    Near,
    Not,
    Page,
    Place,
    TakenBetween,
    UploadedBetween,
)

EARTH_RADIUS = 6371.0088
"""Kilometres; the mean radius of the WGS 84 ellipsoid."""


class MemorySearchIndex:
    """A dictionary, walked whole for each question."""

    def __init__(self) -> None:
        self._newest: dict[tuple[UUID, UUID], tuple[int, Document | None]] = {}

    async def put(self, documents: Sequence[Document]) -> None:
        """Keep these, each unless a newer revision is there."""
        for document in documents:
            self._keep((document.library_id, document.photo_id), document.revision, document)

    async def delete(self, library_id: UUID, photo_ids: Sequence[UUID], *, revision: int) -> None:
        """Forget these photos, each unless a newer revision is there."""
        for photo_id in photo_ids:
            self._keep((library_id, photo_id), revision, None)

    async def find(self, library_id: UUID, condition: Condition, *, after: Place | None, limit: int) -> Page:
        """One page, newest first."""
        places = sorted(
            (
                (document.taken_at, document.photo_id)
                for document in self._of(library_id)
                if matches(document, condition)
                and (after is None or (document.taken_at, document.photo_id) < (after.taken_at, after.photo_id))
            ),
            reverse=True,
        )
        return Page(tuple(Place(*place) for place in places[:limit]), more=len(places) > limit)

    async def count(self, library_id: UUID, condition: Condition) -> int:
        """How many documents match."""
        return sum(matches(document, condition) for document in self._of(library_id))

    async def known(self, library_id: UUID, terms: Collection[str]) -> frozenset[str]:
        """Those that some document has."""
        return frozenset(terms) & self._terms(library_id)

    async def dictionary(self, library_id: UUID, *, shortest: int, longest: int) -> frozenset[str]:
        """Terms of letters only, so many characters long."""
        words = ((term, term.partition(":")[2]) for term in self._terms(library_id))
        return frozenset(term for term, word in words if word.isalpha() and shortest <= len(word) <= longest)

    def _keep(self, key: tuple[UUID, UUID], revision: int, document: Document | None) -> None:
        if key not in self._newest or self._newest[key][0] <= revision:
            self._newest[key] = (revision, document)

    def _of(self, library_id: UUID) -> list[Document]:
        return [document for _, document in self._newest.values() if document and document.library_id == library_id]

    def _terms(self, library_id: UUID) -> frozenset[str]:
        return frozenset().union(*(document.terms for document in self._of(library_id)))


def matches(document: Document, condition: Condition) -> bool:  # noqa: C901, PLR0911 - one answer per kind of condition
    """Whether a document fulfils a condition."""
    match condition:
        case Everything():
            return True
        case HasTerm(any_of, float(above)):
            return any(document.tag_scores.get(term, -1.0) > above for term in any_of & document.terms)
        case HasTerm(any_of):
            return not any_of.isdisjoint(document.terms)
        case HasPerson(any_of):
            return not any_of.isdisjoint(document.person_ids)
        case TakenBetween(start, end):
            return start <= document.taken_at < end
        case UploadedBetween(start, end):
            return start <= document.uploaded_at < end
        case FaceCount(least, most):
            return least <= document.faces and (most is None or document.faces <= most)
        case Near():
            return document.position is not None and _kilometres(document.position, condition) <= condition.kilometres
        case All(parts):
            return all(matches(document, part) for part in parts)
        case AnyOf(parts):
            return any(matches(document, part) for part in parts)
        case Not(part):
            return not matches(document, part)


def _kilometres(position: tuple[float, float], centre: Near) -> float:
    """Along the great circle, by the haversine formula (Sinnott 1984), which is exact for small distances."""
    latitude, longitude = (math.radians(degrees) for degrees in position)
    other_latitude, other_longitude = math.radians(centre.latitude), math.radians(centre.longitude)
    half_chord = (
        math.sin((latitude - other_latitude) / 2) ** 2
        + math.cos(latitude) * math.cos(other_latitude) * math.sin((longitude - other_longitude) / 2) ** 2
    )
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(min(1.0, half_chord)))
