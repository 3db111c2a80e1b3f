"""What an engine with full queues answers, and how often it is asked again."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import ApiError, AsyncElasticsearch
from support.search_indexes import document

from gallery.adapters import elastic_search_index
from gallery.adapters.elastic_client import ElasticBusyError, ElasticRefusedError
from gallery.adapters.elastic_search_index import ElasticSearchIndex
from gallery.adapters.elastic_settings import ElasticSettings
from gallery.runtime.retry import RetryPolicy

LIBRARY = uuid4()
FIELDS: dict[str, Any] = {"properties": {"library_id": {}, "live": {}, "photo_id": {}}}


class FullEngine:
    """Answers bulk requests by a script: per request one status for all, or one for each line."""

    def __init__(self, *answers: int | list[int]) -> None:
        self._answers = list(answers)
        self.asked: list[list[str]] = []
        body = {"photos-v1": {"mappings": FIELDS, "settings": {"index": {"uuid": "one"}}}}
        self.indices = SimpleNamespace(get=self._get)
        self._body = body

    async def _get(self, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(body=self._body)

    async def bulk(self, *, operations: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        headers = [header for line in operations[::2] for header in line.values()]
        self.asked.append([header["_id"][-1] for header in headers])
        answer = self._answers.pop(0)
        if isinstance(answer, int):
            meta = ApiResponseMeta(answer, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "localhost", 9200))
            raise ApiError("too much", meta, {"error": {"type": "circuit_breaking_exception"}})
        return {"items": [{"index": {"status": each, "error": {"type": "told_why"}}} for each in answer]}


def over(engine: FullEngine, monkeypatch: pytest.MonkeyPatch) -> ElasticSearchIndex:
    impatient = RetryPolicy(transient_attempts=4, first_pause=timedelta(0))
    monkeypatch.setattr(elastic_search_index, "_REJECTIONS", impatient)
    return ElasticSearchIndex(cast("AsyncElasticsearch", engine), ElasticSettings())


async def put(index: ElasticSearchIndex, *numbers: int) -> None:
    await index.put([document(LIBRARY, number, terms=frozenset()) for number in numbers])


async def test_only_what_was_rejected_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FullEngine([201, 429, 409, 503], [429, 200], 429, [200])
    await put(over(engine, monkeypatch), 1, 2, 3, 4)
    assert engine.asked == [["1", "2", "3", "4"], ["2", "4"], ["2"], ["2"]]


async def test_an_engine_that_stays_full_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FullEngine([201, 429], [429], 503, [429])
    with pytest.raises(ElasticBusyError, match="rejected 1 writes 4 times"):
        await put(over(engine, monkeypatch), 1, 2)
    assert len(engine.asked) == 4


async def test_what_will_never_be_taken_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FullEngine([201, 400, 201])
    with pytest.raises(ElasticRefusedError, match="told_why"):
        await put(over(engine, monkeypatch), 1, 2, 3)
    assert len(engine.asked) == 1


async def test_words_are_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FullEngine([201, 201], [200], [201, 200])
    index = over(engine, monkeypatch)
    for terms in ({"tag:dog"}, {"tag:dog"}, {"tag:cat", "tag:dog"}):
        await index.put([document(LIBRARY, terms=frozenset(terms))])
    assert [len(asked) for asked in engine.asked] == [2, 1, 2]
