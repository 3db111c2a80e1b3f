"""Inside the child process of `gallery.adapters.qdrant_edge_vectors`: the shards and what can be asked of them."""

import atexit
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qdrant

from gallery.runtime.frames import ChildRefusal

_LIBRARY = "library_id"
# Points between flushes: what is not flushed is read from the log at the next start, a second for some 40,000.
_FLUSH_EVERY = 2000

_shards: dict[Path, "_Shard"] = {}


def answer(header: dict[str, Any], blobs: list[memoryview]) -> tuple[dict[str, Any], Sequence[bytes]]:
    """Do one operation of `QdrantEdgeVectors`; vectors come as float32 in the first blob."""
    shard = _opened(Path(header["folder"]), int(header["dimension"]))
    match header["do"]:
        case "upsert":
            shard.upsert(header["ids"], header["libraries"], blobs[0])
        case "search":
            return shard.search(header["library"], blobs[0], int(header["limit"])), ()
        case "delete":
            shard.delete(header["library"], header["ids"])
        case "count":
            return {"count": shard.count(header["library"])}, ()
    return {}, ()


def _opened(folder: Path, dimension: int) -> "_Shard":
    if folder not in _shards:
        _shards[folder] = _Shard(folder, dimension)
    shard = _shards[folder]
    if shard.dimension != dimension:
        raise ChildRefusal("dimension", f"{folder.name} has dimension {shard.dimension}, not {dimension}")
    return shard


class _Shard:
    def __init__(self, folder: Path, dimension: int) -> None:
        config = qdrant.EdgeConfig(
            vectors=qdrant.EdgeVectorParams(size=dimension, distance=qdrant.Distance.Cosine), max_search_threads=1
        )
        if not folder.exists():
            _create(folder, config)
        self._shard = _load(folder, config)
        self.dimension = dimension
        self._unflushed = 0
        atexit.register(self._shard.close)

    def upsert(self, ids: list[str], libraries: list[str], vectors: memoryview) -> None:
        """Keep points; ids and libraries in the order of the rows."""
        matrix = np.frombuffer(vectors, dtype=np.float32).reshape(len(ids), self.dimension)
        points = [
            qdrant.Point(each, vector.tolist(), {_LIBRARY: library})
            for each, library, vector in zip(ids, libraries, matrix, strict=True)
        ]
        self._shard.update(qdrant.UpdateOperation.upsert_points(points))
        self._unflushed += len(points)
        if self._unflushed >= _FLUSH_EVERY:
            self._shard.flush()
            self._unflushed = 0

    def search(self, library: str, vector: memoryview, limit: int) -> dict[str, Any]:
        """The nearest points of a library."""
        question = np.frombuffer(vector, dtype=np.float32).tolist()
        found = self._shard.search(
            qdrant.SearchRequest(
                query=qdrant.Query.Nearest(question),
                limit=limit,
                filter=_of(library),
                # Within one library comparing all is fast enough for a hundred thousand faces, and never misses one.
                params=qdrant.SearchParams(exact=True),
            )
        )
        return {"ids": [str(point.id) for point in found], "similarities": [point.score for point in found]}

    def delete(self, library: str, ids: list[str]) -> None:
        """Forget those of these points that are the library's."""
        chosen = _of(library, qdrant.HasIdCondition(set(ids)))
        self._shard.update(qdrant.UpdateOperation.delete_points_by_filter(chosen))

    def count(self, library: str) -> int:
        """How many points the library has."""
        return int(self._shard.count(qdrant.CountRequest(exact=True, filter=_of(library))))


def _create(folder: Path, config: qdrant.EdgeConfig) -> None:
    """Make a shard beside its place and rename it, so that a kill leaves no half-made one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = folder.with_name(f"{folder.name}~new")
    shutil.rmtree(making, ignore_errors=True)
    shard = qdrant.EdgeShard.create(str(making), config)
    shard.update(qdrant.UpdateOperation.create_field_index(_LIBRARY, qdrant.KeywordIndexParams(is_tenant=True)))
    shard.flush()
    shard.close()
    making.rename(folder)


def _load(folder: Path, config: qdrant.EdgeConfig) -> qdrant.EdgeShard:
    try:
        return qdrant.EdgeShard.load(str(folder), config)
    except Exception as error:
        raise ChildRefusal("unusable", f"the vectors in {folder.name} cannot be opened: {error}") from error


def _of(library: str, *others: Any) -> qdrant.Filter:
    return qdrant.Filter(must=[qdrant.FieldCondition(_LIBRARY, match=qdrant.MatchValue(library)), *others])
