"""What search works with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from gallery.ports.search_index import Document


@dataclass(frozen=True, slots=True)
class Change:
    """What was heard of a photo; ``revision`` is the catalogue's."""

    library_id: UUID
    photo_id: UUID
    revision: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Photos of one library that one loop has taken to index.

    Attributes:
        number: Grows with every taking; what was fetched under a greater one is at least as new.
        revisions: Of the catalogue, by photo, as last heard of.
        attempts: How often the photo tried most often was taken, this time included.
    """

    library_id: UUID
    number: int
    revisions: Mapping[UUID, int]
    attempts: int


@dataclass(frozen=True, slots=True)
class Composed:
    """A document ready to be found, and what it was made from.

    Attributes:
        catalogue_revision: Of the photo in the catalogue.
        labels: Of its tags as the model gave them, for facets.
    """

    document: Document
    catalogue_revision: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LivePhoto:
    """What the relevance of a hit is judged by."""

    terms: frozenset[str]
    tag_scores: Mapping[str, float]
    person_ids: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value among the hits; ``name`` is that of a person, None where there is none."""

    value: str
    photos: int
    name: str | None = None


Facets = Mapping[str, Sequence[FacetValue]]
"""By kind: people, tags, years."""
