"""Nearest neighbours among the vectors of one library."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


class BadVectorError(ValueError):
    """A vector that cannot be compared: wrong dimension, not finite, or zero."""


@dataclass(frozen=True, slots=True)
class Point:
    """A vector to keep.

    Attributes:
        id: Of the face or photo it describes.
        library_id: The tenant; a search never crosses it.
        vector: Shape (dimension,), length 1.
    """

    id: UUID
    library_id: UUID
    vector: Vector


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A point near the question; ``similarity`` is the cosine, -1 to 1."""

    id: UUID
    similarity: float


class Vectors(Protocol):
    """An index that can be dropped and filled again; the truth is in Postgres. Collections are named after packs."""

    async def ensure(self, collection: str, *, dimension: int) -> None:
        """Make the collection if it is not there."""
        ...

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Keep these; a point of the same id is replaced. Raises BadVectorError before anything is stored."""
        ...

    async def search(self, collection: str, library_id: UUID, vector: Vector, *, limit: int) -> Sequence[Neighbour]:
        """The nearest points of this library, nearest first."""
        ...

    async def delete(self, collection: str, library_id: UUID, ids: Sequence[UUID]) -> None:
        """Forget these points of this library; unknown ids are fine."""
        ...

    async def count(self, collection: str, library_id: UUID) -> int:
        """How many points this library has."""
        ...
