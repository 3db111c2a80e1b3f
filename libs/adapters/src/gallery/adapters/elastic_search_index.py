"""Search documents in Elasticsearch 9.

Revisions are external versions, so the engine itself refuses what is older. It remembers the version of a deleted
document for a minute only; a forgotten photo therefore leaves an empty document behind, its grave, until the index is
made anew. Revisions must never begin again: once the database that numbers them was restored, make the index anew.

A write returns when what it wrote can be found. An explicit refresh makes 200 documents take 0.1 s in place of 0.08 s;
waiting for the next one takes 1 s (measured on two cores).

Pages need no frozen view: the port asks for what stands behind a place in the timeline, and ``search_after`` gives it.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from gallery.adapters.elastic_client import (
    BUSY,
    ElasticBusyError,
    ElasticMovedError,
    connected,
    refusal,
    translated,
)
from gallery.adapters.elastic_documents import (
    TIMELINE,
    Action,
    Json,
    behind,
    forgetting,
    keeping,
    learning,
    matching,
    place,
    words_between,
)
from gallery.adapters.elastic_settings import ElasticSettings
from gallery.adapters.elastic_versions import Version, Versions
from gallery.ports.search_index import Condition, Document, Everything, Page, Place
from gallery.runtime.retry import RetryPolicy, Verdict

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_BATCH = 500
"""Documents or words of one request: about a megabyte."""

_REJECTIONS = RetryPolicy(transient_attempts=6)
"""What a full queue rejects is sent again within 3 seconds; then it is the caller's to wait longer."""

_WORDS_IN_MIND = 200_000
"""Words that are in the dictionary for certain; 40 MB. Sending one in vain costs the engine 0.1 ms."""

_WORDS_OF_ONE_ANSWER = 10_000

_DONE = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.CONFLICT})
"""A conflict means that something newer is there, or that a word was."""


class ElasticSearchIndex:
    """One index behind an alias; a library lies in one shard. A page has at most 9,999 hits.

    Errors are those of `gallery.adapters.elastic_client.translated`.
    """

    def __init__(self, client: "AsyncElasticsearch", settings: ElasticSettings) -> None:
        self._client = client
        self._versions = Versions(client, settings)
        self._known_words: set[tuple[str, str]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: ElasticSettings) -> AsyncIterator[Self]:
        """Connect, and make the index where it is missing."""
        async with connected(settings) as client:
            index = cls(client, settings)
            await index._versions.ensure()
            yield index

    def made_anew(self) -> AbstractAsyncContextManager[None]:
        """Have another version of the index filled while the block is open; see `Versions.next`.

        What is put meanwhile goes to both. Put everything again within the block: begin only after it was entered, and
        with greater revisions than before.
        """
        return self._versions.next()

    async def put(self, documents: Sequence[Document]) -> None:
        """Keep these, each unless a newer revision is there."""
        ordered = sorted(documents, key=lambda document: document.revision)
        newest = {(document.library_id, document.photo_id): document for document in ordered}
        entries: dict[str, Action] = {}
        for document in documents:
            entries |= learning(document)
        await self._write([keeping(document) for document in newest.values()], entries)

    async def delete(self, library_id: UUID, photo_ids: Sequence[UUID], *, revision: int) -> None:
        """Forget these photos, each unless a newer revision is there."""
        await self._write([forgetting(library_id, photo_id, revision=revision) for photo_id in set(photo_ids)], {})

    async def find(self, library_id: UUID, condition: Condition, *, after: Place | None, limit: int) -> Page:
        """One page, newest first."""
        asked: Json = {"query": matching(library_id, condition), "sort": TIMELINE, "size": limit + 1}
        if after is not None:
            asked["search_after"] = behind(after)
        # A hit's place in the order says all of it that is needed: no document is fetched.
        answer = await self._search(library_id, **asked, stored_fields="_none_", track_total_hits=False)
        hits = [place(hit["sort"]) for hit in answer["hits"]["hits"]]
        return Page(tuple(hits[:limit]), more=len(hits) > limit)

    async def count(self, library_id: UUID, condition: Condition) -> int:
        """How many documents match."""
        query = matching(library_id, condition)
        answer = await self._search(library_id, query=query, size=0, track_total_hits=True)
        return int(answer["hits"]["total"]["value"])

    async def known(self, library_id: UUID, terms: Collection[str]) -> frozenset[str]:
        """Those that some document has."""
        if not terms:
            return frozenset()
        asked = list(terms)
        # Filters look each term up; an aggregation of the field's values would walk every document.
        known = {"filters": {"filters": [{"term": {"terms": term}} for term in asked]}}
        query = matching(library_id, Everything())
        answer = await self._search(library_id, query=query, size=0, aggs={"known": known})
        buckets = answer["aggregations"]["known"]["buckets"]
        return frozenset(term for term, bucket in zip(asked, buckets, strict=True) if bucket["doc_count"])

    async def dictionary(self, library_id: UUID, *, shortest: int, longest: int) -> frozenset[str]:
        """Terms of letters only, so many characters long."""
        found: set[str] = set()
        query = words_between(library_id, shortest, longest)
        pages: Json = {"size": _WORDS_OF_ONE_ANSWER, "sources": [{"word": {"terms": {"field": "word"}}}]}
        while True:
            answer = await self._search(library_id, query=query, size=0, aggs={"words": {"composite": pages}})
            buckets = answer["aggregations"]["words"]["buckets"]
            found.update(bucket["key"]["word"] for bucket in buckets)
            if len(buckets) < _WORDS_OF_ONE_ANSWER:
                return frozenset(found)
            pages["after"] = buckets[-1]["key"]

    async def _search(self, library_id: UUID, **asked: Any) -> Json:
        """Ask the shard of a library; once more when it went away over the question, as its next version is there."""
        try:
            return await self._searched(library_id, asked)
        except (ElasticBusyError, ElasticMovedError):
            return await self._searched(library_id, asked)

    async def _searched(self, library_id: UUID, asked: Json) -> Json:
        """Ask; half an answer is none."""
        with translated():
            answer = await self._client.search(
                index=self._versions.reading, routing=str(library_id), allow_partial_search_results=False, **asked
            )
        found: Json = answer.body
        return found

    async def _write(self, actions: Sequence[Action], words: Mapping[str, Action]) -> None:
        """Write to every version; words first, so that a document that can be found has its own in the dictionary."""
        for version in await self._versions.written() if actions else ():
            new = {entry for entry in words if (version.identity, entry) not in self._known_words}
            all_of_it = [*(words[entry] for entry in new), *actions]
            for at in range(0, len(all_of_it), _BATCH):
                await self._bulk(version, all_of_it[at : at + _BATCH])
            if len(self._known_words) > _WORDS_IN_MIND:
                self._known_words.clear()
            self._known_words |= {(version.identity, entry) for entry in new}

    async def _bulk(self, version: Version, actions: Sequence[Action]) -> None:
        """Write until nothing of it is rejected any more; what it raises leaves the rest written."""
        attempt = 1
        while actions := await self._rejected(version, actions):
            busy = ElasticBusyError(f"Elasticsearch rejected {len(actions)} writes {attempt} times")
            if _REJECTIONS.decide(busy, attempt=attempt) is not Verdict.AGAIN:
                raise busy
            await asyncio.sleep(_REJECTIONS.pause(attempt).total_seconds())
            attempt += 1

    async def _rejected(self, version: Version, actions: Sequence[Action]) -> list[Action]:
        """Write once; what the engine has no room for at the moment comes back."""
        lines: list[Json] = []
        for header, document in actions:
            lines += [header, {name: value for name, value in document.items() if name in version.fields}]
        try:
            with translated():
                answer = await self._client.bulk(
                    index=version.writing, operations=lines, require_alias=True, refresh=True
                )
        except ElasticBusyError:
            return list(actions)
        results = [result for item in answer["items"] for result in item.values()]
        for result in results:
            if result["status"] not in _DONE | BUSY:
                raise refusal(result["status"], result["error"]["type"])
        return [action for action, result in zip(actions, results, strict=True) if result["status"] in BUSY]
