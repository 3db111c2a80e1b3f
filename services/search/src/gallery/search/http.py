"""The service's internal HTTP."""

import time
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from gallery.runtime import metrics
from gallery.runtime.http import ProblemError
from gallery.search.domain import FacetValue
from gallery.search.errors import BadCursorError, QueryError
from gallery.search.searching import Answer, Search
from gallery.search.store import Store


def router(*, search: Search, store: Store) -> APIRouter:
    """Everything that others may ask of search, below a library."""
    routes = APIRouter(prefix="/internal/v1/libraries/{library_id}")

    @routes.get("/search")
    async def find(
        library_id: UUID,
        q: Annotated[str, Query(description="In the search language; empty finds everything")] = "",
        cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Hits on a page")] = 100,
    ) -> dict[str, Any]:
        began = time.perf_counter()
        with metrics.SEARCH_TIME.time():
            answer = await _answer(search, library_id, q, cursor=cursor, limit=limit)
        return {**_rendered(answer), "took_ms": round((time.perf_counter() - began) * 1000, 1)}

    @routes.post("/rebuild", status_code=202)
    async def rebuild(library_id: UUID) -> dict[str, int]:
        await store.mark_all(library_id)
        return {"pending": await store.pending(library_id)}

    @routes.get("/status")
    async def status(library_id: UUID) -> dict[str, int]:
        return {"pending": await store.pending(library_id)}

    return routes


async def _answer(search: Search, library_id: UUID, text: str, *, cursor: str | None, limit: int) -> Answer:
    try:
        return await search.page(library_id, text, cursor=cursor, limit=limit)
    except QueryError as error:
        raise ProblemError(422, "bad_query", str(error), position=error.position, expected=error.expected) from error
    except BadCursorError as error:
        raise ProblemError(422, "bad_cursor", str(error)) from error


def _rendered(answer: Answer) -> dict[str, Any]:
    return {
        "photos": [{"id": str(hit.photo_id), "score": hit.score} for hit in answer.hits],
        "total": answer.total,
        "next": answer.next,
        "facets": {kind: [_rendered_value(kind, value) for value in values] for kind, values in answer.facets.items()},
    }


def _rendered_value(kind: str, value: FacetValue) -> Mapping[str, Any]:
    match kind:
        case "people":
            return {"id": value.value, "name": value.name, "photos": value.photos}
        case "tags":
            return {"label": value.value, "photos": value.photos}
        case _:
            return {"year": int(value.value), "photos": value.photos}
