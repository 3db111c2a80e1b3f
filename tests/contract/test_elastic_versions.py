"""Elasticsearch alone: versions of the index, and what its errors become."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from support.engines.elasticsearch import Elasticsearch
from support.search_indexes import DAY, document, elastic_index, elastic_settings
from support.waiting import expect_soon

from gallery.adapters import elastic_versions
from gallery.adapters.elastic_client import ElasticRefusedError, ElasticUnavailableError
from gallery.adapters.elastic_documents import MAPPING
from gallery.adapters.elastic_search_index import ElasticSearchIndex
from gallery.ports.search_index import Everything, FaceCount, Near, TakenBetween
from gallery.runtime.background import background
from gallery.runtime.retry import is_transient

pytestmark = pytest.mark.engine

LIBRARY = uuid4()


@pytest_asyncio.fixture
async def index(request: pytest.FixtureRequest) -> AsyncIterator[ElasticSearchIndex]:
    async with elastic_index(request) as opened:
        yield opened


async def found(index: ElasticSearchIndex) -> set[int]:
    page = await index.find(LIBRARY, Everything(), after=None, limit=1000)
    return {hit.photo_id.int for hit in page.hits}


async def names(index: ElasticSearchIndex) -> list[str]:
    """The numbers of the versions that are there."""
    return [version.name.rpartition("-")[2] for version in await index._versions.written()]


async def test_an_index_made_anew_has_what_was_put_meanwhile_and_nothing_else(index: ElasticSearchIndex) -> None:
    await index.put([document(LIBRARY, 1), document(LIBRARY, 2, terms=frozenset({"tag:heron"}))])
    async with index.made_anew():
        await index.put([document(LIBRARY, 1, revision=2), document(LIBRARY, 3)])
        assert await found(index) == {1, 2, 3}, "the old version answers, with what is new"
        assert await names(index) == ["v1", "v2"]
    assert await found(index) == {1, 3}
    assert await index.dictionary(LIBRARY, shortest=1, longest=9) == {"tag:dog"}
    assert await names(index) == ["v2"]
    await index.put([document(LIBRARY, 4)])
    assert await found(index) == {1, 3, 4}


async def test_other_processes_write_to_both_versions_and_never_see_half_of_one(
    elasticsearch: Elasticsearch, index: ElasticSearchIndex
) -> None:
    settings = elastic_settings(elasticsearch).model_copy(update={"elastic_index": index._versions.reading})
    old, new = {1, 2}, {1, 3}
    seen: list[set[int]] = []

    async def exchanged() -> bool:
        return new in seen

    async def look(other: ElasticSearchIndex) -> None:
        while True:
            seen.append(await found(other))

    async with ElasticSearchIndex.open(settings) as other:
        await index.put([document(LIBRARY, number) for number in old])
        async with background(looking=look(other)):
            async with index.made_anew():
                await other.put([document(LIBRARY, 1, revision=2)])
                await index._client.index(  # as a rebuild that leaves number 2 out would, unseen until the exchange
                    index=f"{index._versions.reading}-next",
                    id=f"{LIBRARY}:{UUID(int=3)}",
                    routing=str(LIBRARY),
                    document={"library_id": str(LIBRARY), "live": True, "photo_id": str(UUID(int=3)), "taken_at": 0},
                    refresh=True,
                )
            await expect_soon(exchanged)
    assert all(each in (old, new) for each in seen)


async def test_a_rebuild_that_fails_leaves_everything_as_it_was(index: ElasticSearchIndex) -> None:
    await index.put([document(LIBRARY, 1)])

    async def fail() -> None:
        async with index.made_anew():
            await index.put([document(LIBRARY, 2)])
            raise RuntimeError("the owners are away")

    with pytest.raises(RuntimeError, match="away"):
        await fail()
    assert await found(index) == {1, 2}
    assert await names(index) == ["v1"]


async def test_of_two_rebuilds_the_one_that_began_last_ends_well(index: ElasticSearchIndex) -> None:
    await index.put([document(LIBRARY, 1)])
    first, second = index.made_anew(), index.made_anew()
    await first.__aenter__()
    async with second:
        await index.put([document(LIBRARY, 2)])
        with pytest.raises(ElasticRefusedError, match="another version"):
            await first.__aexit__(None, None, None)
    assert await found(index) == {2}
    assert await names(index) == ["v3"]


async def test_an_index_of_an_older_release_serves_on_until_it_is_made_anew(
    elasticsearch: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = {name: field for name, field in MAPPING["properties"].items() if name not in ("faces", "position")}
    settings = elastic_settings(elasticsearch)
    with monkeypatch.context() as older:
        older.setattr(elastic_versions, "MAPPING", {**MAPPING, "properties": fewer})
        async with ElasticSearchIndex.open(settings) as index:
            await index.put([document(LIBRARY, 1, faces=2, position=(1.0, 1.0))])
    with capture_logs() as logs:
        async with ElasticSearchIndex.open(settings) as index:
            again = document(LIBRARY, 1, revision=2, faces=2, position=(1.0, 1.0))
            await index.put([again])
            assert await found(index) == {1}
            assert await index.count(LIBRARY, FaceCount(2, 2)) == 0
            async with index.made_anew():
                await index.put([again])
            assert await index.count(LIBRARY, FaceCount(2, 2)) == await index.count(LIBRARY, Near(1, 1, 1)) == 1
        assert [entry["log_level"] for entry in logs if "another mapping" in entry["event"]] == ["warning"]
        async with ElasticSearchIndex.open(settings):
            pass
    assert sum("another mapping" in entry["event"] for entry in logs) == 1, "not any more"


async def test_processes_that_start_at_once_make_one_index(elasticsearch: Elasticsearch) -> None:
    settings = elastic_settings(elasticsearch)

    async def start(number: int) -> list[str]:
        async with ElasticSearchIndex.open(settings) as index:
            await index.put([document(LIBRARY, number)])
            return await names(index)

    assert await asyncio.gather(*map(start, range(4))) == [["v1"]] * 4
    async with ElasticSearchIndex.open(settings) as index:
        assert await found(index) == {0, 1, 2, 3}


async def test_an_index_that_was_dropped_is_not_made_up_by_the_engine(elasticsearch: Elasticsearch) -> None:
    settings = elastic_settings(elasticsearch)
    async with ElasticSearchIndex.open(settings) as index:
        (version,) = await index._versions.written()
        await index._client.indices.delete(index=version.name)
        for asked in (
            index.put([document(LIBRARY)]),
            index._bulk(version, [({"index": {"_id": "1", "routing": "1"}}, {})]),
            index.count(LIBRARY, Everything()),
        ):
            with pytest.raises(ElasticUnavailableError) as caught:
                await asked
            assert is_transient(caught.value)
        there = await index._client.indices.exists(index=[version.name, version.writing], expand_wildcards="all")
        assert not there
    async with ElasticSearchIndex.open(settings) as index:
        await index.put([document(LIBRARY)])
        assert await found(index) == {1}
        assert await index.dictionary(LIBRARY, shortest=1, longest=9) == {"tag:dog"}


async def test_what_the_engine_will_never_take_is_refused_and_its_neighbours_are_kept(
    index: ElasticSearchIndex,
) -> None:
    with pytest.raises(ElasticRefusedError) as caught:
        await index.put([document(LIBRARY, 1), document(LIBRARY, 2, faces=2**40), document(LIBRARY, 3)])
    assert not is_transient(caught.value)
    assert str(2**40) not in str(caught.value), "what was sent is nobody's business in a log"
    assert await found(index) == {1, 3}
    with pytest.raises(ElasticRefusedError):
        await index.count(LIBRARY, Near(100.0, 0.0, 1))


async def test_an_engine_that_hangs_is_not_waited_for_longer_than_set(elasticsearch: Elasticsearch) -> None:
    impatient = {"elastic_timeout": timedelta(seconds=2)}
    async with ElasticSearchIndex.open(elastic_settings(elasticsearch).model_copy(update=impatient)) as index:
        elasticsearch.pause()
        try:
            async with asyncio.timeout(15):
                with pytest.raises(ElasticUnavailableError):
                    await index.put([document(LIBRARY)])
                with pytest.raises(ElasticUnavailableError):
                    await index.find(LIBRARY, TakenBetween(DAY, DAY), after=None, limit=1)
        finally:
            elasticsearch.resume()
        await index.put([document(LIBRARY)])
        assert await found(index) == {1}


async def test_more_than_one_request_is_needed_for_many_documents_and_words(index: ElasticSearchIndex) -> None:
    letters = "abcdefghij"
    spelled = ["".join(letters[int(digit)] for digit in f"{number:05}") for number in range(10_500)]
    await index.put(
        [
            document(LIBRARY, number, terms=frozenset(f"tag:{word}" for word in spelled[number::700]))
            for number in range(700)
        ]
    )
    assert await index.count(LIBRARY, Everything()) == 700
    assert await index.dictionary(LIBRARY, shortest=5, longest=5) == {f"tag:{word}" for word in spelled}
