"""What every search index must do, over all of them."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery.adapters.memory_search_index import MemorySearchIndex
from gallery.adapters.postgres_search_index import PostgresSearchIndex, where
from gallery.ports.search_index import (
    All,
    AnyOf,
    Condition,
    Document,
    Everything,
    FaceCount,
    HasPerson,
    HasTerm,
    Near,
    Not,
    Page,
    SearchIndex,
    TakenBetween,
    UploadedBetween,
)

TERMS = ["tag:dog", "tag:cat", "file:dog", "file:o'brien%s", "place:東京", "camera:pixel"]
PEOPLE = [UUID(int=number) for number in range(1, 5)]
DAY = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - the camera's clock has no zone
CAME_IN = datetime(2025, 1, 1, tzinfo=UTC)


# One schema for all these tests: each has libraries of its own, and making a database takes longer than most of them.


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def index(request: pytest.FixtureRequest, postgres_server: str) -> AsyncIterator[SearchIndex]:
    if request.param == "memory":
        yield MemorySearchIndex()
    else:
        async with PostgresSearchIndex.open(postgres_server) as opened:
            yield opened


@pytest_asyncio.fixture
async def postgres(postgres_server: str) -> AsyncIterator[PostgresSearchIndex]:
    async with PostgresSearchIndex.open(postgres_server) as opened:
        yield opened


def document(library: UUID, number: int = 1, **changes: object) -> Document:
    plain = Document(
        photo_id=UUID(int=number),
        library_id=library,
        revision=1,
        taken_at=DAY + timedelta(days=number),
        uploaded_at=CAME_IN,
        terms=frozenset({"tag:dog"}),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the fields of a document


async def found(index: SearchIndex, library: UUID, condition: Condition) -> set[int]:
    page = await index.find(library, condition, after=None, limit=1000)
    assert await index.count(library, condition) == len(page.hits)
    return {hit.photo_id.int for hit in page.hits}


async def test_an_older_revision_never_replaces_a_newer_one(index: SearchIndex) -> None:
    library = uuid4()
    await index.put([document(library, revision=2, faces=2)])
    await index.put([document(library, revision=1, faces=1)])
    assert await found(index, library, FaceCount(2, 2)) == {1}
    await index.put([document(library, revision=2, faces=3)])
    assert await found(index, library, FaceCount(3, 3)) == {1}


async def test_libraries_do_not_see_one_another(index: SearchIndex) -> None:
    mine, theirs = uuid4(), uuid4()
    await index.put([document(mine), document(theirs, 2, terms=frozenset({"tag:secret"}))])
    assert await found(index, mine, Everything()) == {1}
    assert await index.known(mine, ["tag:secret", "tag:dog"]) == {"tag:dog"}
    assert await index.dictionary(mine, shortest=1, longest=9) == {"tag:dog"}
    await index.delete(mine, [UUID(int=2)])
    assert await found(index, theirs, Everything()) == {2}


async def test_what_is_deleted_is_not_found_nor_known(index: SearchIndex) -> None:
    library = uuid4()
    await index.put([document(library)])
    await index.delete(library, [UUID(int=1), UUID(int=9)])
    assert await found(index, library, Everything()) == set()
    assert await index.known(library, ["tag:dog"]) == set()


async def test_the_dictionary_has_words_by_length_and_no_numbers(index: SearchIndex) -> None:
    library = uuid4()
    await index.put([document(library, terms=frozenset({"tag:dog", "file:img_1", "file:123", "place:lisbon"}))])
    assert await index.dictionary(library, shortest=3, longest=5) == {"tag:dog"}
    assert await index.dictionary(library, shortest=1, longest=9) == {"tag:dog", "place:lisbon"}


async def test_pages_follow_one_another_newest_first_without_a_gap(index: SearchIndex) -> None:
    library = uuid4()
    same_time = [document(library, number, taken_at=DAY) for number in range(1, 8)]
    await index.put([*same_time, *(document(library, number) for number in range(8, 12))])
    seen: list[int] = []
    page = Page((), more=True)
    while page.more:
        page = await index.find(library, Everything(), after=page.hits[-1] if page.hits else None, limit=3)
        assert len(page.hits) <= 3
        seen += [hit.photo_id.int for hit in page.hits]
    assert seen == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("condition", "hits"),
    [
        (HasTerm(frozenset({"tag:dog", "tag:cat"})), {1, 2}),
        (HasTerm(frozenset()), set()),
        (HasTerm(frozenset({"tag:dog"}), above=0.6), {1}),
        (HasTerm(frozenset({"tag:dog"}), above=0.7), set()),
        (HasTerm(frozenset({"tag:cat"}), above=0.0), set()),
        (HasPerson(frozenset({PEOPLE[0]})), {1}),
        (HasPerson(frozenset()), set()),
        (TakenBetween(DAY + timedelta(days=2), DAY + timedelta(days=3)), {2}),
        (UploadedBetween(CAME_IN, CAME_IN + timedelta(seconds=1)), {1, 2, 3}),
        (UploadedBetween(CAME_IN - timedelta(seconds=1), CAME_IN), set()),
        (FaceCount(1), {1}),
        (FaceCount(0, 0), {2, 3}),
        (Near(38.71, -9.14, 1), {1}),
        (Near(38.71, -9.14, 500), {1}),
        (Near(38.71, -9.14, 600), {1, 2}),
        (Not(Near(38.71, -9.14, 1)), {2, 3}),
        (Not(HasTerm(frozenset({"tag:dog"}), above=0.6)), {2, 3}),
        (All(()), {1, 2, 3}),
        (AnyOf(()), set()),
    ],
)
async def test_each_condition(index: SearchIndex, condition: Condition, hits: set[int]) -> None:
    library = uuid4()
    lisbon, madrid = (38.7139, -9.1394), (40.4168, -3.7038)
    await index.put(
        [
            document(
                library, 1, tag_scores={"tag:dog": 0.7}, person_ids=frozenset(PEOPLE[:2]), faces=2, position=lisbon
            ),
            document(library, 2, terms=frozenset({"tag:cat"}), position=madrid),
            document(library, 3, terms=frozenset({"file:dog"})),
        ]
    )
    assert await found(index, library, condition) == hits


async def test_near_works_across_the_date_line_and_at_a_pole(index: SearchIndex) -> None:
    library = uuid4()
    await index.put(
        [
            document(library, 1, position=(-17.0, 179.95)),
            document(library, 2, position=(-17.0, -179.95)),
            document(library, 3, position=(89.99, 170.0)),
        ]
    )
    assert await found(index, library, Near(-17.0, 180.0, 10)) == {1, 2}
    assert await found(index, library, Near(89.99, -10.0, 10)) == {3}


def _leaf() -> st.SearchStrategy[Condition]:
    hours = st.integers(0, 99).map(lambda hour: timedelta(hours=hour))
    return cast(
        "st.SearchStrategy[Condition]",
        st.one_of(
            st.builds(
                HasTerm,
                st.frozensets(st.sampled_from(TERMS), max_size=3),
                st.none() | st.sampled_from([0.0, 0.3, 0.5, 0.9]),
            ),
            st.builds(HasPerson, st.frozensets(st.sampled_from(PEOPLE), max_size=2)),
            st.tuples(hours, hours).map(lambda pair: TakenBetween(DAY + pair[0], DAY + pair[1])),
            st.tuples(hours, hours).map(lambda pair: UploadedBetween(CAME_IN + pair[0], CAME_IN + pair[1])),
            st.builds(FaceCount, st.integers(0, 3), st.none() | st.integers(0, 4)),
            st.builds(Near, st.floats(-90, 90), st.floats(-180, 180), st.floats(1, 15_000)),
            st.just(Everything()),
        ),
    )


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    _leaf(),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
    ),
    max_leaves=8,
)


def random_documents(library: UUID, *, count: int, seed: int) -> list[Document]:
    chance = random.Random(seed)
    return [_random_document(chance, library, number) for number in range(1, count + 1)]


def _random_document(chance: random.Random, library: UUID, number: int) -> Document:
    terms = frozenset(chance.sample(TERMS, chance.randint(0, 4)))
    located = chance.random() < 0.6
    return Document(
        photo_id=UUID(int=number),
        library_id=library,
        revision=1,
        taken_at=DAY + timedelta(hours=chance.randint(0, 99)),
        uploaded_at=CAME_IN + timedelta(hours=chance.randint(0, 99)),
        terms=terms,
        tag_scores={term: round(chance.random(), 2) for term in terms if term.startswith("tag:")},
        person_ids=frozenset(chance.sample(PEOPLE, chance.randint(0, 2))),
        faces=chance.randint(0, 4),
        position=(chance.uniform(-90, 90), chance.uniform(-180, 180)) if located else None,
    )


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=CONDITIONS, second=CONDITIONS)
async def test_both_indexes_agree_and_obey_set_algebra(
    postgres: PostgresSearchIndex, first: Condition, second: Condition
) -> None:
    library, documents = UUID(int=77), random_documents(UUID(int=77), count=60, seed=1)
    memory = MemorySearchIndex()
    await memory.put(documents)
    await postgres.put(documents)
    everything = {document.photo_id.int for document in documents}
    for index in (memory, postgres):
        one, two = await found(index, library, first), await found(index, library, second)
        assert await found(index, library, All((first, second))) == one & two
        assert await found(index, library, AnyOf((first, second))) == one | two
        assert await found(index, library, Not(first)) == everything - one
    assert await found(memory, library, first) == await found(postgres, library, first)


@pytest.mark.parametrize(
    ("condition", "expected_index"),
    [
        (HasTerm(frozenset({"tag:rare7"})), "documents_terms"),
        (HasPerson(frozenset({UUID(int=7)})), "documents_people"),
        (AnyOf((HasTerm(frozenset({"tag:rare7"})), HasPerson(frozenset({UUID(int=7)})))), "documents_people"),
        (TakenBetween(DAY, DAY + timedelta(days=3)), "documents_timeline"),
        (Near(10.0, 10.0, 20), "documents_position"),
        (Everything(), "documents_timeline"),
    ],
)
async def test_postgres_answers_from_an_index(
    postgres: PostgresSearchIndex, condition: Condition, expected_index: str
) -> None:
    chance = random.Random(3)
    await postgres.put(
        [
            document(
                UUID(int=number % 3),
                number,
                terms=frozenset({f"tag:rare{number % 300}", "type:photo"}),
                person_ids=frozenset({UUID(int=number % 300)}),
                position=(chance.uniform(-60, 60), chance.uniform(-170, 170)),
            )
            for number in range(1, 3001)
        ]
    )
    async with postgres._database.read() as connection:
        await connection.execute("ANALYZE documents")
        statement = b"EXPLAIN SELECT photo_id FROM documents WHERE library_id = '00000000-0000-0000-0000-000000000001'"
        statement += b" AND " + where(condition).as_bytes(connection)
        statement += b" ORDER BY taken_at DESC, photo_id DESC LIMIT 50"
        plan = "\n".join(row["QUERY PLAN"] for row in await (await connection.execute(statement)).fetchall())
    assert "Seq Scan" not in plan
    assert expected_index in plan
