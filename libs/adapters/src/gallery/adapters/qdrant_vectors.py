"""Vectors in a Qdrant server: one collection per pack, in which each library is found by a tenant index.

There is no graph over all vectors, only one within each library that is large enough, since every question has a
library. Such a collection answers a question without one by nothing at all, so none is asked here. Below 30,000 vectors
of a library all are compared, which never misses one.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from gallery.adapters.certificates import trusting
from gallery.adapters.qdrant_settings import QdrantSettings
from gallery.adapters.vector_rules import checked_collection, stacked
from gallery.ports.vectors import Neighbour, Point, Vector
from gallery.runtime.errors import PermanentError, TransientError, UnfitEngineError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient
    from qdrant_client.models import CollectionInfo, Filter

_LIBRARY = "library_id"
_LINKS = 16
"""Of a vector to its neighbours in its library's graph: the server's own default for a graph over all."""
_COMPARED_ALL = 30_000
"""Vectors of a library; with more it has a graph."""
_BYTES_OF_A_NUMBER = 4
_LEAST_THRESHOLD = 10
"""Kilobytes; the server takes no less."""
_BATCH = 500
"""Points of one request: 5 MB of JSON for vectors of 512 numbers; the server takes 32."""

_MISSING_OR_BUSY = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class QdrantUnavailableError(TransientError):
    """Qdrant cannot be reached, takes no more for the moment, or the collection is to be filled again."""


class QdrantRefusedError(PermanentError):
    """Qdrant will not do this however often it is asked."""


@asynccontextmanager
async def connected(settings: QdrantSettings) -> AsyncIterator["AsyncQdrantClient"]:
    """Keep a client; nothing is asked yet."""
    from qdrant_client import AsyncQdrantClient

    more: dict[str, Any] = {"verify": trusting(settings.qdrant_ca, name="qdrant_ca")} if settings.qdrant_ca else {}
    client = AsyncQdrantClient(
        url=settings.qdrant_url,
        api_key=settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None,
        timeout=ceil(settings.qdrant_timeout.total_seconds()),
        check_compatibility=False,  # it would ask at once, and hold up the loop
        **more,
    )
    try:
        yield client
    finally:
        await client.close()


class ForeignCollectionError(UnfitEngineError, ValueError):
    """A collection has our name and is not ours."""


class QdrantVectors:
    """Collections of one server. Other operations than `ensure` expect that `ensure` was called in this process.

    Errors of the server are `QdrantUnavailableError` and `QdrantRefusedError`.
    """

    def __init__(self, client: "AsyncQdrantClient", settings: QdrantSettings) -> None:
        self._client = client
        self._settings = settings
        self._dimensions: dict[str, int] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: QdrantSettings) -> AsyncIterator[Self]:
        """Keep a client; nothing is asked yet."""
        async with connected(settings) as client:
            yield cls(client, settings)

    async def ensure(self, collection: str, *, dimension: int) -> None:
        """Make the collection if it is not there, or finish making it.

        Raises:
            ForeignCollectionError: Another's collection has its name; it is left as it is.
        """
        from qdrant_client import models

        name = self._name(checked_collection(collection))
        with translated():
            if not await self._client.collection_exists(name):
                await self._make(name, dimension)
            found = await self._client.get_collection(name)
            _refuse_foreign(name, found, dimension=dimension)
            if _LIBRARY not in found.payload_schema:
                tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
                await self._client.create_payload_index(name, _LIBRARY, field_schema=tenant, wait=True)
        self._dimensions[collection] = dimension

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Keep these; see `gallery.ports.vectors.Vectors.upsert`."""
        from qdrant_client import models

        matrix = stacked([point.vector for point in points], dimension=self._dimensions[collection])
        written = [
            models.PointStruct(id=str(point.id), vector=vector.tolist(), payload={_LIBRARY: point.library_id.hex})
            for point, vector in zip(points, matrix, strict=True)
        ]
        with translated():
            for at in range(0, len(written), _BATCH):
                await self._client.upsert(self._name(collection), written[at : at + _BATCH], wait=True)

    async def search(self, collection: str, library_id: UUID, vector: Vector, *, limit: int) -> Sequence[Neighbour]:
        """The nearest points of this library, nearest first; exact in all but the largest libraries."""
        (question,) = stacked([vector], dimension=self._dimensions[collection])
        if limit < 1:
            return []
        with translated():
            found = await self._client.query_points(
                self._name(collection),
                query=question.tolist(),
                query_filter=_of(library_id),
                limit=limit,
                with_payload=False,
            )
        return [Neighbour(id=UUID(str(each.id)), similarity=min(1.0, max(-1.0, each.score))) for each in found.points]

    async def delete(self, collection: str, library_id: UUID, ids: Sequence[UUID]) -> None:
        """Forget these points of this library."""
        from qdrant_client import models

        chosen = _of(library_id, models.HasIdCondition(has_id=[str(each) for each in ids]))
        if ids:
            with translated():
                await self._client.delete(self._name(collection), models.FilterSelector(filter=chosen), wait=True)

    async def count(self, collection: str, library_id: UUID) -> int:
        """How many points this library has."""
        with translated():
            answer = await self._client.count(self._name(collection), count_filter=_of(library_id), exact=True)
        return answer.count

    def _name(self, collection: str) -> str:
        return self._settings.qdrant_prefix + collection

    async def _make(self, name: str, dimension: int) -> None:
        from qdrant_client import models
        from qdrant_client.http.exceptions import UnexpectedResponse

        threshold = max(_LEAST_THRESHOLD, _COMPARED_ALL * dimension * _BYTES_OF_A_NUMBER // 1024)
        graph = models.HnswConfigDiff(m=0, payload_m=_LINKS, full_scan_threshold=threshold)
        vectors = models.VectorParams(size=dimension, distance=models.Distance.COSINE, hnsw_config=graph)
        try:
            await self._client.create_collection(
                name, vectors_config=vectors, replication_factor=self._settings.qdrant_replicas
            )
        except UnexpectedResponse as error:
            if error.status_code != HTTPStatus.CONFLICT:  # another process was quicker
                raise


def _refuse_foreign(name: str, found: "CollectionInfo", *, dimension: int) -> None:
    """Tell another's collection by its vectors; one that was made by half has no points."""
    from qdrant_client import models

    kept = found.config.params.vectors
    ours = isinstance(kept, models.VectorParams) and kept.distance is models.Distance.COSINE
    size = getattr(kept, "size", None)
    if not ours or size != dimension:
        raise ForeignCollectionError(
            f"the collection {name} in Qdrant has dimension {size}, not {dimension}, or compares otherwise: it is"
            " another's; choose other names by GALLERY_QDRANT_PREFIX"
        )


def _of(library_id: UUID, *others: Any) -> "Filter":
    from qdrant_client import models

    own = models.FieldCondition(key=_LIBRARY, match=models.MatchValue(value=library_id.hex))
    return models.Filter(must=[own, *others])


@contextmanager
def translated() -> Iterator[None]:
    """Raise the client's errors as ours.

    Raises:
        QdrantUnavailableError: Later it may work.
        QdrantRefusedError: It will never work.
    """
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    try:
        yield
    except ResponseHandlingException as error:
        raise QdrantUnavailableError(f"Qdrant cannot be reached: {type(error.source).__name__}") from error
    except ResourceExhaustedResponse as error:
        raise QdrantUnavailableError("Qdrant takes no more for the moment") from error
    except UnexpectedResponse as error:
        status = error.status_code or HTTPStatus.BAD_GATEWAY
        unavailable = status in _MISSING_OR_BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        kind = QdrantUnavailableError if unavailable else QdrantRefusedError
        raise kind(f"Qdrant answered {status}") from error
