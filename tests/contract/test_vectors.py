"""What every index of vectors does."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery.adapters.memory_vectors import MemoryVectors
from gallery.adapters.qdrant_edge_vectors import QdrantEdgeVectors
from gallery.adapters.qdrant_settings import QdrantSettings
from gallery.adapters.qdrant_vectors import QdrantVectors
from gallery.ports.vectors import BadVectorError, Point, Vector, Vectors

FACES = "scrfd-edgeface"
ANNA, BEN = uuid4(), uuid4()


def vector(*numbers: float) -> Vector:
    return np.array(numbers, dtype=np.float32)


def points(library: UUID, number: int, *, dimension: int, seed: int) -> list[Point]:
    random = np.random.default_rng(seed)
    return [
        Point(id=uuid4(), library_id=library, vector=random.normal(size=dimension).astype(np.float32))
        for _ in range(number)
    ]


def brute_force(kept: list[Point], question: Vector, limit: int) -> list[float]:
    matrix = np.array([point.vector for point in kept], dtype=np.float64).reshape(len(kept), question.size)
    cosines = matrix @ question / np.linalg.norm(matrix, axis=1) / np.linalg.norm(question)
    return sorted(cosines.tolist(), reverse=True)[:limit]


SERVER = os.environ.get("GALLERY_TEST_QDRANT_URL")
"""A real server; none is to be had from a registry, so elsewhere the client's own imitation stands in."""

KINDS = [
    "memory",
    "qdrant-edge",
    pytest.param("qdrant-local", marks=pytest.mark.filterwarnings("ignore:Payload indexes have no effect")),
    *([pytest.param("qdrant-server", marks=pytest.mark.engine)] if SERVER else []),
]


@pytest.fixture(params=KINDS)
async def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Vectors]:
    match request.param:
        case "memory":
            yield MemoryVectors()
        case "qdrant-edge":
            async with QdrantEdgeVectors(tmp_path / "vectors") as edge:
                yield edge
        case "qdrant-local":
            from qdrant_client import AsyncQdrantClient

            yield QdrantVectors(AsyncQdrantClient(":memory:"), QdrantSettings())
        case _:
            settings = QdrantSettings(qdrant_url=str(SERVER), qdrant_prefix=f"test-{uuid4().hex}-")
            async with QdrantVectors.open(settings) as server:
                yield server
                for made in (await server._client.get_collections()).collections:
                    if made.name.startswith(settings.qdrant_prefix):
                        await server._client.delete_collection(made.name)


async def test_the_nearest_come_first_with_their_cosine(vectors: Vectors) -> None:
    await vectors.ensure(FACES, dimension=2)
    ids = [uuid4() for _ in range(3)]
    kept = [vector(1, 0), vector(0, 1), vector(-1, 0)]
    await vectors.upsert(
        FACES, [Point(id=each, library_id=ANNA, vector=at) for each, at in zip(ids, kept, strict=True)]
    )
    found = await vectors.search(FACES, ANNA, vector(2, 1), limit=3)
    assert [neighbour.id for neighbour in found] == ids
    assert [neighbour.similarity for neighbour in found] == pytest.approx([2 / 5**0.5, 1 / 5**0.5, -2 / 5**0.5])
    assert len(await vectors.search(FACES, ANNA, vector(2, 1), limit=2)) == 2


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["upsert", "delete"]), st.sampled_from([0, 1]), st.integers(0, 11), st.integers(0, 999)),
    max_size=30,
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS, seed=st.integers(0, 999), limit=st.integers(1, 15))
async def test_after_any_history_the_neighbours_are_those_of_brute_force(
    vectors: Vectors, operations: list[tuple[str, int, int, int]], seed: int, limit: int
) -> None:
    """Ids are shared by both libraries, so that replacing and deleting across them would show."""
    libraries = (ANNA, BEN)
    kept: dict[UUID, Point] = {}
    collection = uuid4().hex
    await vectors.ensure(collection, dimension=8)
    for what, which, number, numbers in operations:
        at = np.random.default_rng(numbers).normal(size=8).astype(np.float32)
        point = Point(id=UUID(int=number), library_id=libraries[which], vector=at)
        if what == "upsert":
            kept[point.id] = point
            await vectors.upsert(collection, [point])
        else:
            await vectors.delete(collection, point.library_id, [point.id])
            if point.id in kept and kept[point.id].library_id == point.library_id:
                del kept[point.id]
    question = np.random.default_rng(seed).normal(size=8).astype(np.float32)
    for library in libraries:
        own = [point for point in kept.values() if point.library_id == library]
        found = await vectors.search(collection, library, question, limit=limit)
        assert {each.id for each in found} <= {point.id for point in own}
        assert [each.similarity for each in found] == pytest.approx(brute_force(own, question, limit), abs=1e-5)
        assert await vectors.count(collection, library) == len(own)


async def test_many_points_of_two_libraries(vectors: Vectors) -> None:
    await vectors.ensure(FACES, dimension=64)
    anna, ben = (points(library, 1200, dimension=64, seed=seed) for seed, library in enumerate((ANNA, BEN)))
    await vectors.upsert(FACES, anna + ben)
    for question in np.random.default_rng(5).normal(size=(20, 64)).astype(np.float32):
        found = await vectors.search(FACES, ANNA, question, limit=50)
        assert {neighbour.id for neighbour in found} <= {point.id for point in anna}
        assert [each.similarity for each in found] == pytest.approx(brute_force(anna, question, 50), abs=1e-5)


BAD = [vector(0, 0), vector(np.nan, 1), vector(np.inf, 1), vector(1, 2, 3), vector(1), np.ones((2, 1), np.float32)]


@pytest.mark.parametrize("bad", BAD, ids=["zero", "nan", "infinite", "long", "short", "matrix"])
async def test_what_cannot_be_compared_is_refused_before_anything_is_kept(vectors: Vectors, bad: Vector) -> None:
    await vectors.ensure(FACES, dimension=2)
    good = Point(id=uuid4(), library_id=ANNA, vector=vector(1, 0))
    with pytest.raises(BadVectorError):
        await vectors.upsert(FACES, [good, Point(id=uuid4(), library_id=ANNA, vector=bad)])
    with pytest.raises(BadVectorError):
        await vectors.search(FACES, ANNA, bad, limit=1)
    assert await vectors.count(FACES, ANNA) == 0


async def test_a_point_of_the_same_id_is_replaced(vectors: Vectors) -> None:
    await vectors.ensure(FACES, dimension=2)
    one = uuid4()
    await vectors.upsert(FACES, [Point(id=one, library_id=ANNA, vector=vector(1, 0))])
    await vectors.upsert(FACES, [Point(id=one, library_id=ANNA, vector=vector(0, 1))])
    (found,) = await vectors.search(FACES, ANNA, vector(0, 1), limit=10)
    assert found.id == one
    assert found.similarity == pytest.approx(1.0)


async def test_forgotten_points_are_not_found_and_other_libraries_points_stay(vectors: Vectors) -> None:
    await vectors.ensure(FACES, dimension=4)
    anna = points(ANNA, 5, dimension=4, seed=1)
    await vectors.upsert(FACES, anna)
    await vectors.delete(FACES, BEN, [point.id for point in anna])
    assert await vectors.count(FACES, ANNA) == 5
    await vectors.delete(FACES, ANNA, [point.id for point in anna[:4]] + [uuid4()])
    await vectors.delete(FACES, ANNA, [])
    assert [each.id for each in await vectors.search(FACES, ANNA, anna[0].vector, limit=9)] == [anna[4].id]


async def test_collections_are_apart_and_made_once(vectors: Vectors) -> None:
    for collection in ("one", "two"):
        await vectors.ensure(collection, dimension=2)
    await vectors.upsert("one", [Point(id=uuid4(), library_id=ANNA, vector=vector(1, 0))])
    await vectors.ensure("one", dimension=2)
    assert [await vectors.count(collection, ANNA) for collection in ("one", "two")] == [1, 0]
    with pytest.raises(ValueError, match="has dimension 2, not 3"):
        await vectors.ensure("one", dimension=3)
    with pytest.raises(ValueError, match="not a collection name"):
        await vectors.ensure("../one", dimension=3)


async def test_nothing_kept_nothing_found(vectors: Vectors) -> None:
    await vectors.ensure(FACES, dimension=2)
    await vectors.upsert(FACES, [])
    assert list(await vectors.search(FACES, ANNA, vector(1, 0), limit=5)) == []


# Qdrant Edge


async def test_nothing_is_lost_when_the_process_is_killed_at_any_moment(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    async with QdrantEdgeVectors(tmp_path) as vectors:
        await vectors.ensure(FACES, dimension=16)
        for round_ in range(8):
            keeping = [
                asyncio.create_task(vectors.upsert(FACES, points(ANNA, 20, dimension=16, seed=round_ * 10 + each)))
                for each in range(5)
            ]
            await asyncio.wait(keeping[: int(random.integers(1, 5))], return_when=asyncio.FIRST_COMPLETED)
            assert vectors.pid is not None
            os.kill(vectors.pid, signal.SIGKILL)
            await asyncio.gather(*keeping)
        assert await vectors.count(FACES, ANNA) == 8 * 5 * 20


async def test_a_shard_that_was_being_made_when_its_process_died_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / f"{FACES}~new").mkdir()
    (tmp_path / f"{FACES}~new" / "half").write_bytes(bytes(1000))
    async with QdrantEdgeVectors(tmp_path) as vectors:
        await vectors.ensure(FACES, dimension=16)
        assert await vectors.count(FACES, ANNA) == 0
    assert [path.name for path in tmp_path.iterdir()] == [FACES]


async def test_what_was_kept_is_there_at_the_next_start(tmp_path: Path) -> None:
    kept = points(ANNA, 30, dimension=16, seed=3)
    async with QdrantEdgeVectors(tmp_path) as vectors:
        await vectors.ensure(FACES, dimension=16)
        await vectors.upsert(FACES, kept)
    async with QdrantEdgeVectors(tmp_path) as vectors:
        await vectors.ensure(FACES, dimension=16)
        found = await vectors.search(FACES, ANNA, kept[7].vector, limit=1)
        assert found[0].id == kept[7].id
        with pytest.raises(ValueError, match="dimension"):
            await vectors.ensure(FACES, dimension=32)
    async with QdrantEdgeVectors(tmp_path) as vectors:
        with pytest.raises(ValueError, match="cannot be opened"):
            await vectors.ensure(FACES, dimension=32)


async def test_a_caller_that_goes_away_harms_nobody(tmp_path: Path) -> None:
    async with QdrantEdgeVectors(tmp_path) as vectors:
        await vectors.ensure(FACES, dimension=16)
        before = vectors.pid
        keeping = asyncio.create_task(vectors.upsert(FACES, points(ANNA, 500, dimension=16, seed=3)))
        await asyncio.sleep(0)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
        await vectors.count(FACES, ANNA)
        assert vectors.pid == before
