"""After any history, whichever engine is asked, the answer is the same."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.search_indexes import CONDITIONS, TERMS, elastic_index, random_document

from gallery.adapters.memory_search_index import MemorySearchIndex
from gallery.adapters.postgres_search_index import PostgresSearchIndex
from gallery.ports.search_index import Condition, Place, SearchIndex

WORDS = [*TERMS, "tag:heron", "file:wren", "tag:ä", "place:zoo"]


@dataclass(frozen=True)
class Writing:
    """Documents put, or photos forgotten, at one revision; the seed says what is in the documents."""

    puts: bool
    numbers: tuple[int, ...]
    revision: int
    seed: int


WRITINGS = st.builds(
    Writing,
    puts=st.sampled_from([True, True, False]),
    numbers=st.lists(st.integers(1, 8), min_size=1, max_size=6).map(tuple),
    revision=st.integers(1, 5),
    seed=st.integers(0, 99),
)


@pytest_asyncio.fixture
async def engines(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Sequence[SearchIndex]]:
    async with PostgresSearchIndex.open(database_url) as postgres, elastic_index(request) as elastic:
        yield postgres, elastic


async def write(index: SearchIndex, library: UUID, writing: Writing) -> None:
    if not writing.puts:
        await index.delete(library, [UUID(int=number) for number in writing.numbers], revision=writing.revision)
        return
    chance = random.Random(writing.seed)
    plain = [random_document(chance, library, number) for number in writing.numbers]
    await index.put(
        [
            replace(each, revision=writing.revision, terms=each.terms | frozenset(chance.sample(WORDS, 2)))
            for each in plain
        ]
    )


async def pages(index: SearchIndex, library: UUID, condition: Condition, limit: int) -> list[tuple[Place, ...]]:
    """All pages of an answer."""
    answer: list[tuple[Place, ...]] = []
    more, after = True, None
    while more:
        page = await index.find(library, condition, after=after, limit=limit)
        answer.append(page.hits)
        more, after = page.more, page.hits[-1] if page.hits else None
    return answer


@pytest.mark.engine
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    history=st.lists(WRITINGS, max_size=8),
    conditions=st.lists(CONDITIONS, min_size=1, max_size=4),
    limit=st.integers(1, 9),
)
async def test_engines_answer_alike_after_any_history(
    engines: Sequence[SearchIndex], history: list[Writing], conditions: list[Condition], limit: int
) -> None:
    library, memory = uuid4(), MemorySearchIndex()
    for writing in history:
        for index in (memory, *engines):
            await write(index, library, writing)
    for condition in conditions:
        expected = await pages(memory, library, condition, limit)
        for index in engines:
            assert await pages(index, library, condition, limit) == expected
            assert await index.count(library, condition) == sum(map(len, expected))
    known = await memory.known(library, WORDS)
    dictionaries = [await index.dictionary(library, shortest=1, longest=4) for index in engines]
    assert dictionaries[0] == dictionaries[1] >= await memory.dictionary(library, shortest=1, longest=4)
    assert [await index.known(library, WORDS) for index in engines] == [known, known]
