"""Search indexes of every kind, and documents and conditions to ask them with."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from support.engines.elasticsearch import Elasticsearch

from gallery.adapters.elastic_search_index import ElasticSearchIndex
from gallery.adapters.elastic_settings import ElasticSettings
from gallery.adapters.memory_search_index import MemorySearchIndex
from gallery.adapters.postgres_search_index import PostgresSearchIndex
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
    SearchIndex,
    TakenBetween,
    UploadedBetween,
)

TERMS = ["tag:dog", "tag:cat", "file:dog", "file:o'brien%s", "place:東京", "camera:pixel"]
PEOPLE = [UUID(int=number) for number in range(1, 5)]
DAY = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - the camera's clock has no zone
CAME_IN = datetime(2025, 1, 1, tzinfo=UTC)

ENGINES = ["postgres", pytest.param("elasticsearch", marks=pytest.mark.engine)]
"""What keeps documents for good, as parameters of a fixture."""


@asynccontextmanager
async def opened(kind: str, request: pytest.FixtureRequest, *, database_url: str) -> AsyncIterator[SearchIndex]:
    """An index of this kind; that of Postgres is as old as its database."""
    if kind == "memory":
        yield MemorySearchIndex()
    elif kind == "postgres":
        async with PostgresSearchIndex.open(database_url) as index:
            yield index
    else:
        async with elastic_index(request) as elastic:
            yield elastic


@asynccontextmanager
async def elastic_index(request: pytest.FixtureRequest) -> AsyncIterator[ElasticSearchIndex]:
    """An index of its own in the engine of this run, which is started when somebody asks first."""
    engine: Elasticsearch = request.getfixturevalue("elasticsearch")
    async with ElasticSearchIndex.open(elastic_settings(engine)) as index:
        yield index
        versions = await index._versions.written()
        await index._client.indices.delete(index=[version.name for version in versions])


def elastic_settings(engine: Elasticsearch) -> ElasticSettings:
    """Settings with a name that no other index has, and with patience: the machine may be busy."""
    return ElasticSettings(
        elastic_url=engine.url,
        elastic_index=f"photos_{uuid4().hex}",
        elastic_replicas=0,
        elastic_timeout=timedelta(minutes=1),
    )


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
    return [random_document(chance, library, number) for number in range(1, count + 1)]


def random_document(chance: random.Random, library: UUID, number: int) -> Document:
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
