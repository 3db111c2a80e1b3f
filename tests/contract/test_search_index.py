"""What every search index must do, over all of them."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from support.search_indexes import CAME_IN, CONDITIONS, DAY, ENGINES, PEOPLE, document, opened, random_documents

from gallery.adapters.memory_search_index import MemorySearchIndex
from gallery.adapters.postgres_search_index import PostgresSearchIndex, where
from gallery.ports.search_index import (
    DEEPEST,
    All,
    AnyOf,
    Condition,
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


@pytest_asyncio.fixture(params=["memory", *ENGINES])
async def index(request: pytest.FixtureRequest, postgres_server: str) -> AsyncIterator[SearchIndex]:
    async with opened(request.param, request, database_url=postgres_server) as opened_index:
        yield opened_index


@pytest_asyncio.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest, postgres_server: str) -> AsyncIterator[SearchIndex]:
    async with opened(request.param, request, database_url=postgres_server) as opened_index:
        yield opened_index


@pytest_asyncio.fixture
async def postgres(postgres_server: str) -> AsyncIterator[PostgresSearchIndex]:
    async with PostgresSearchIndex.open(postgres_server) as opened_index:
        yield opened_index


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
    await index.delete(mine, [UUID(int=2)], revision=9)
    assert await found(index, theirs, Everything()) == {2}


async def test_what_is_deleted_is_not_found_nor_known(index: SearchIndex) -> None:
    library = uuid4()
    await index.put([document(library)])
    await index.delete(library, [UUID(int=1), UUID(int=9)], revision=1)
    assert await found(index, library, Everything()) == set()
    assert await index.known(library, ["tag:dog"]) == set()


async def test_a_late_document_does_not_bring_back_what_was_deleted(index: SearchIndex) -> None:
    library = uuid4()
    await index.put([document(library, revision=3)])
    await index.delete(library, [UUID(int=1), UUID(int=2)], revision=2)
    assert await found(index, library, Everything()) == {1}, "deleted before this document was made"
    await index.delete(library, [UUID(int=1)], revision=4)
    await index.put([document(library, 1, revision=3), document(library, 2, revision=1)])
    assert await found(index, library, Everything()) == set()
    assert await index.known(library, ["tag:dog"]) == set()
    await index.put([document(library, 1, revision=5), document(library, 2, revision=2)])
    assert await found(index, library, Everything()) == {1, 2}


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


async def test_near_works_all_but_at_zero(index: SearchIndex) -> None:
    library = uuid4()
    await index.put([document(library, 1, position=(0.0, 0.0)), document(library, 2, position=(1.0, 0.0))])
    assert await found(index, library, Near(5e-324, 1e-160, 1)) == {1}


async def test_times_count_to_the_microsecond_in_every_year(index: SearchIndex) -> None:
    library = uuid4()
    moments = [datetime.min, datetime(1899, 12, 31, 23, 59, 59, 999_999), DAY, DAY + timedelta(microseconds=1)]  # noqa: DTZ001, DTZ901 - the camera's clock
    latest = datetime.max - timedelta(days=1)  # noqa: DTZ901
    await index.put([document(library, number, taken_at=at) for number, at in enumerate([*moments, latest])])
    page = await index.find(library, Everything(), after=None, limit=9)
    assert [hit.taken_at for hit in page.hits] == [latest, *reversed(moments)]
    assert await found(index, library, TakenBetween(DAY, DAY + timedelta(microseconds=1))) == {2}
    assert await found(index, library, TakenBetween(datetime.min, DAY)) == {0, 1}  # noqa: DTZ901


async def test_conditions_may_be_as_deep_as_promised(index: SearchIndex) -> None:
    library = uuid4()
    dog, cat = HasTerm(frozenset({"tag:dog"}), above=0.6), HasTerm(frozenset({"tag:cat"}))
    await index.put([document(library, 1, tag_scores={"tag:dog": 0.7}), document(library, 2)])
    condition: Condition = dog
    for level in range(DEEPEST):
        condition = All((condition, Everything())) if level % 2 else AnyOf((cat, condition))
    assert await found(index, library, condition) == {1}
    for level in range(DEEPEST):
        condition = Not(condition) if level else dog
    assert await found(index, library, condition) == {1}


async def test_more_faces_than_anybody_can_count(index: SearchIndex) -> None:
    library = uuid4()
    await index.put([document(library, faces=3)])
    assert await found(index, library, FaceCount(0, 10**12)) == {1}
    assert await found(index, library, FaceCount(10**12)) == set()


async def test_a_batch_with_several_revisions_of_one_photo_keeps_the_newest(index: SearchIndex) -> None:
    library = uuid4()
    await index.put([document(library, revision=2, faces=2), document(library, revision=1, faces=1)])
    assert await found(index, library, FaceCount(2, 2)) == {1}


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=CONDITIONS, second=CONDITIONS)
async def test_every_engine_agrees_with_memory_and_obeys_set_algebra(
    engine: SearchIndex, first: Condition, second: Condition
) -> None:
    library, documents = UUID(int=77), random_documents(UUID(int=77), count=60, seed=1)
    memory = MemorySearchIndex()
    await memory.put(documents)
    await engine.put(documents)
    everything = {document.photo_id.int for document in documents}
    for index in (memory, engine):
        one, two = await found(index, library, first), await found(index, library, second)
        assert await found(index, library, All((first, second))) == one & two
        assert await found(index, library, AnyOf((first, second))) == one | two
        assert await found(index, library, Not(first)) == everything - one
    assert await found(memory, library, first) == await found(engine, library, first)


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
