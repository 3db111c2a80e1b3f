"""Vectors in memory, compared one by one, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from gallery.adapters.vector_rules import checked_collection, stacked
from gallery.ports.vectors import Neighbour, Point, Vector


@dataclass(slots=True)
class _Collection:
    dimension: int
    points: dict[UUID, tuple[UUID, Vector]] = field(default_factory=dict)


class MemoryVectors:
    """Keeps points in a dictionary per collection."""

    def __init__(self) -> None:
        self._collections: dict[str, _Collection] = {}

    async def ensure(self, collection: str, *, dimension: int) -> None:
        """Make the collection if it is not there."""
        found = self._collections.setdefault(checked_collection(collection), _Collection(dimension))
        if found.dimension != dimension:
            raise ValueError(f"the collection {collection} has dimension {found.dimension}, not {dimension}")

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Keep these; see `gallery.ports.vectors.Vectors.upsert`."""
        kept = self._collections[collection]
        matrix = stacked([point.vector for point in points], dimension=kept.dimension)
        for point, vector in zip(points, matrix, strict=True):
            kept.points[point.id] = (point.library_id, vector)

    async def search(self, collection: str, library_id: UUID, vector: Vector, *, limit: int) -> Sequence[Neighbour]:
        """The nearest points of this library, nearest first."""
        kept = self._collections[collection]
        (question,) = stacked([vector], dimension=kept.dimension)
        found = [
            Neighbour(id=point, similarity=float(np.clip(question @ each, -1.0, 1.0)))
            for point, (library, each) in kept.points.items()
            if library == library_id
        ]
        return sorted(found, key=lambda neighbour: -neighbour.similarity)[:limit]

    async def delete(self, collection: str, library_id: UUID, ids: Sequence[UUID]) -> None:
        """Forget these points of this library."""
        points = self._collections[collection].points
        for each in ids:
            if each in points and points[each][0] == library_id:
                del points[each]

    async def count(self, collection: str, library_id: UUID) -> int:
        """How many points this library has."""
        return sum(library == library_id for library, _ in self._collections[collection].points.values())
