"""Search over an Elasticsearch that dies while photos are being indexed, and one that is filled from nothing."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from support.engines.elasticsearch import Elasticsearch
from support.search_bench import ANNA, LIBRARY, Bench, Client, asking, face, running_bench
from support.search_indexes import elastic_index
from support.waiting import expect_soon

from gallery.adapters.elastic_search_index import ElasticSearchIndex
from gallery.ports.search_index import Everything
from gallery.runtime.background import background

pytestmark = pytest.mark.engine

PHOTOS = [UUID(int=number) for number in range(1, 1501)]


@pytest_asyncio.fixture
async def index(request: pytest.FixtureRequest) -> AsyncIterator[ElasticSearchIndex]:
    async with elastic_index(request) as opened:
        yield opened


@pytest_asyncio.fixture
async def bench(database_url: str, index: ElasticSearchIndex) -> AsyncIterator[Bench]:
    async with running_bench(database_url, index) as made:
        yield made


@pytest_asyncio.fixture
async def client(bench: Bench) -> AsyncIterator[Client]:
    async with asking(bench) as client:
        yield client


async def photos_come_in(bench: Bench) -> None:
    """A year of photos; every third shows a heron, every fifth Anna."""
    await bench.name(ANNA, "Anna")
    for number, photo in enumerate(PHOTOS, 1):
        faces = [face(ANNA)] if number % 5 == 0 else []
        taken = f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}T10:00:00"
        bench.owners.add(photo, file=f"img_{number}.jpg", taken_at=taken, faces=faces)
        if number % 3 == 0:
            bench.owners.tags[photo] = [("heron", number % 100 / 100)]
    await bench.note(*PHOTOS)


def expected() -> dict[str, int]:
    """How many photos each query has to find, counted by hand."""
    numbers = range(1, len(PHOTOS) + 1)
    herons = {number for number in numbers if number % 3 == 0}
    anna = {number for number in numbers if number % 5 == 0}
    return {
        "heron": len(herons),
        "tag:heron>0.5": sum(number % 100 > 50 for number in herons),
        "person:anna": len(anna),
        "faces:0": len(numbers) - len(anna),
        "date:2024-02": sum(number % 12 == 1 for number in numbers),
        "file:img_77": 1,
        "-heron -person:anna": len(numbers) - len(herons | anna),
        "herno": len(herons),
    }


async def answers(client: Client) -> dict[str, int]:
    return {query: (await client.get(query))["total"] for query in expected()}


async def all_indexed(bench: Bench) -> None:
    """Wait until nothing is pending, but not for the pauses after failures."""
    async with asyncio.timeout(120):
        while await bench.store.pending(LIBRARY):
            async with bench.database.transaction() as tx:
                await tx.execute("UPDATE pending SET not_before = now() WHERE claim IS NULL")
            await asyncio.sleep(0.1)


async def test_an_engine_killed_while_it_indexes_has_everything_in_the_end(
    elasticsearch: Elasticsearch, bench: Bench, client: Client
) -> None:
    await photos_come_in(bench)

    async def some_are_indexed() -> bool:
        return 0 < await bench.store.pending(LIBRARY) < len(PHOTOS)

    async with background(one=bench.indexing().run(), another=bench.indexing().run()):
        await expect_soon(some_are_indexed)
        elasticsearch.kill()
        said = await bench.indexed()
        assert 0 < len(said) < len(PHOTOS), "in the middle of it"
        elasticsearch.launch()
        await asyncio.to_thread(elasticsearch.wait)
        there = await bench.index.find(LIBRARY, Everything(), after=None, limit=len(PHOTOS))
        assert {photo for photo, _ in said} <= {hit.photo_id for hit in there.hits}, "what was said to be found is"
        await all_indexed(bench)
    assert await answers(client) == expected()
    assert sorted(await bench.indexed()) == [(photo, 1) for photo in PHOTOS], "each was said once"


async def test_an_index_made_anew_gives_the_same_answers(
    index: ElasticSearchIndex, bench: Bench, client: Client, elasticsearch: Elasticsearch, database_url: str
) -> None:
    await photos_come_in(bench)
    await bench.changed()
    gone = PHOTOS[76]
    del bench.owners.photos[gone]
    await bench.changed(gone)
    before = await answers(client)
    without_77 = {query: expected()[query] - 1 for query in ("file:img_77", "faces:0", "-heron -person:anna")}
    assert before == expected() | without_77
    async with background(indexing=bench.indexing().run()):
        job = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("gallery-search"),
            "remake",
            env={
                **os.environ,
                "GALLERY_DATABASE_URL": database_url,
                "GALLERY_SEARCH_INDEX": "elasticsearch",
                "GALLERY_ELASTIC_URL": elasticsearch.url,
                "GALLERY_ELASTIC_INDEX": index._versions.reading,
            },
        )
        assert await job.wait() == 0
    (version,) = await index._versions.written()
    assert version.name.endswith("-v2")
    assert await answers(client) == before
    assert await index.count(LIBRARY, Everything()) == len(PHOTOS) - 1
