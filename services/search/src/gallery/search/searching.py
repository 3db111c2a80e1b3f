"""Answering a query, page by page."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from gallery.ports.search_index import All, Condition, SearchIndex, UploadedBetween
from gallery.search import cursors
from gallery.search.analyser import Analyser
from gallery.search.cursors import Cursor
from gallery.search.domain import Facets, LivePhoto
from gallery.search.parser import parse
from gallery.search.query import leaves, render
from gallery.search.relevance import relevance
from gallery.search.resolve import Resolver
from gallery.search.vocabulary import Lookup, Names

FACETS_FROM = 1000
"""Facets count the newest hits only, so that a question that matches everything costs no more than others."""

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


class LivePhotos(Names, Protocol):
    """The rows that a hit must join with."""

    async def live(self, library_id: UUID, photo_ids: Collection[UUID]) -> Mapping[UUID, LivePhoto]:
        """Those of these photos that may be shown."""
        ...

    async def facets(self, library_id: UUID, photo_ids: Collection[UUID]) -> Facets:
        """The most frequent people, tags and years among these photos."""
        ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that matches, and how well, 0 to 1."""

    photo_id: UUID
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One page.

    Attributes:
        hits: Newest first; fewer than asked for when some are no longer there.
        total: How many matched when the first page was asked for.
        facets: With the first page only, of its newest hits.
        next: Cursor of the next page, None at the end.
    """

    hits: tuple[Hit, ...]
    total: int
    facets: Facets
    next: str | None


class Search:
    """Reads queries and answers them from the index, as far as the live rows agree."""

    def __init__(
        self, *, index: SearchIndex, photos: LivePhotos, analyser: Analyser, now: Callable[[], datetime] | None = None
    ) -> None:
        self._index = index
        self._photos = photos
        self._analyser = analyser
        self._lookup = Lookup(index=index, names=photos, analyser=analyser)
        self._now = now or (lambda: datetime.now(UTC))

    async def page(self, library_id: UUID, text: str, *, cursor: str | None, limit: int) -> Answer:
        """Answer one page of at most ``limit`` hits.

        Raises:
            QueryError: The query cannot be read.
            BadCursorError: The cursor is not one of this query.
        """
        query = parse(text)
        canonical = render(query)
        place = cursors.read(cursor, library_id=library_id, query=canonical) if cursor else None
        vocabulary = await self._lookup.vocabulary(library_id, leaves(query))
        condition = Resolver(vocabulary, self._analyser).condition(query)
        if place is None:
            return await self._first(library_id, condition, canonical, limit)
        return await self._further(library_id, condition, canonical, limit, place)

    async def _first(self, library_id: UUID, condition: Condition, query: str, limit: int) -> Answer:
        now = self._now()
        page = await self._index.find(library_id, condition, after=None, limit=max(limit, FACETS_FROM))
        ids = [place.photo_id for place in page.hits]
        total = await self._index.count(library_id, condition) if page.more else len(ids)
        following = None
        if len(ids) > limit or page.more:
            following = cursors.write(Cursor(page.hits[limit - 1], now, total), library_id=library_id, query=query)
        facets = await self._photos.facets(library_id, ids)
        return Answer(await self._hits(library_id, condition, ids[:limit]), total, facets, following)

    async def _further(self, library_id: UUID, condition: Condition, query: str, limit: int, place: Cursor) -> Answer:
        until_then = All((condition, UploadedBetween(_LONG_AGO, place.watermark)))
        page = await self._index.find(library_id, until_then, after=place.after, limit=limit)
        following = None
        if page.more:
            further = Cursor(page.hits[-1], place.watermark, place.total)
            following = cursors.write(further, library_id=library_id, query=query)
        ids = [each.photo_id for each in page.hits]
        return Answer(await self._hits(library_id, condition, ids), place.total, {}, following)

    async def _hits(self, library_id: UUID, condition: Condition, ids: Sequence[UUID]) -> tuple[Hit, ...]:
        live = await self._photos.live(library_id, ids)
        return tuple(Hit(each, relevance(live[each], condition)) for each in ids if each in live)
