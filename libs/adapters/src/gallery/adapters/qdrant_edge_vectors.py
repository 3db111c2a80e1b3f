"""Vectors in Qdrant Edge, an engine without a server, in a child process of its own.

Its own process because the engine holds the interpreter lock while it works, for seconds when it optimises (measured:
7 s at 20,000 vectors, so we do not optimise: search within a library is exact), and because only one process may open a
shard. Its log keeps what was written when the child is killed.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from gallery.adapters.vector_rules import checked_collection, stacked
from gallery.ports.vectors import Neighbour, Point, Vector
from gallery.runtime.children import Child, ChildDiedError, ChildRefusal
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

_TARGET = "gallery.adapters.qdrant_edge_shards:answer"
# Opening a large shard after a kill reads its log.
_PATIENCE = timedelta(seconds=120)
# Points of one request: 2 MB of vectors of 512 numbers.
_BATCH = 1000


class QdrantEdgeVectors:
    """One shard per collection in a folder of its own.

    Use it as a context manager: leaving it closes the shards.

    Args:
        root: Holds the folders of the collections; made if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._dimensions: dict[str, int] = {}
        self._child = Child(_TARGET)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._child.close()

    @property
    def pid(self) -> int | None:
        """Of the child that holds the shards, if it runs."""
        return self._child.pid

    async def ensure(self, collection: str, *, dimension: int) -> None:
        """Make the collection if it is not there.

        Raises:
            ValueError: It is there with another dimension, or cannot be opened: remove its folder and fill it again.
        """
        checked_collection(collection)
        known = self._dimensions.get(collection, dimension)
        if known != dimension:
            raise ValueError(f"the collection {collection} has dimension {known}, not {dimension}")
        self._dimensions[collection] = dimension
        try:
            await self._ask(collection, {"do": "open"})
        except ChildRefusal as refusal:
            del self._dimensions[collection]
            raise ValueError(refusal.detail) from refusal

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Keep these; see `gallery.ports.vectors.Vectors.upsert`."""
        matrix = stacked([point.vector for point in points], dimension=self._dimensions[collection])
        for at in range(0, len(points), _BATCH):
            batch = points[at : at + _BATCH]
            header = {
                "do": "upsert",
                "ids": [str(point.id) for point in batch],
                "libraries": [point.library_id.hex for point in batch],
            }
            await self._ask(collection, header, matrix[at : at + _BATCH])

    async def search(self, collection: str, library_id: UUID, vector: Vector, *, limit: int) -> Sequence[Neighbour]:
        """The nearest points of this library, nearest first; exact."""
        question = stacked([vector], dimension=self._dimensions[collection])
        if limit < 1:
            return []
        header = {"do": "search", "library": library_id.hex, "limit": limit}
        answer = await self._ask(collection, header, question)
        return [
            Neighbour(id=UUID(point), similarity=min(1.0, max(-1.0, float(similarity))))
            for point, similarity in zip(answer["ids"], answer["similarities"], strict=True)
        ]

    async def delete(self, collection: str, library_id: UUID, ids: Sequence[UUID]) -> None:
        """Forget these points of this library."""
        if ids:
            header = {"do": "delete", "library": library_id.hex, "ids": [str(each) for each in ids]}
            await self._ask(collection, header)

    async def count(self, collection: str, library_id: UUID) -> int:
        """How many points this library has."""
        answer = await self._ask(collection, {"do": "count", "library": library_id.hex})
        return int(answer["count"])

    async def _ask(self, collection: str, header: dict[str, Any], *blobs: Vector) -> dict[str, Any]:
        """Ask the child; once more when it was killed, since every operation may be done twice."""
        header |= {"folder": str(self._root / collection), "dimension": self._dimensions[collection]}
        # A caller that goes away must not get the child killed: the operation is short, and others wait for the shard.
        return await asyncio.shield(self._asked(header, blobs))

    async def _asked(self, header: dict[str, Any], blobs: Sequence[Vector]) -> dict[str, Any]:
        try:
            answer, _ = await self._child.request(header, *blobs, timeout=_PATIENCE)
        except ChildDiedError as died:
            if died.reason != "killed":
                raise
            log.warning("the process that holds the vectors was killed; trying again")
            answer, _ = await self._child.request(header, *blobs, timeout=_PATIENCE)
        return answer
