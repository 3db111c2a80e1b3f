"""Search documents in Postgres: terms and people by inverted index, the timeline by keyset."""

import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.sql import SQL, Composable, Identifier, Literal
from psycopg.types.json import Jsonb

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
    Place,
    TakenBetween,
    UploadedBetween,
)
from gallery.runtime.database import Database

SCHEMA = "search_index"

_EARTH_RADIUS = 6371.0088
"""Kilometres; the mean radius of the WGS 84 ellipsoid."""

_KILOMETRES_PER_DEGREE = _EARTH_RADIUS * math.pi / 180

_PUT = SQL("""
    INSERT INTO documents AS kept (library_id, photo_id, revision, taken_at, uploaded_at, terms, tag_scores,
                                   person_ids, faces, unresolved_faces, latitude, longitude, live)
    VALUES (%(library_id)s, %(photo_id)s, %(revision)s, %(taken_at)s, %(uploaded_at)s, %(terms)s, %(tag_scores)s,
            %(person_ids)s, %(faces)s, %(unresolved_faces)s, %(latitude)s, %(longitude)s,
            %(live)s)
    ON CONFLICT (library_id, photo_id) DO UPDATE SET
        revision = excluded.revision, taken_at = excluded.taken_at, uploaded_at = excluded.uploaded_at,
        terms = excluded.terms, tag_scores = excluded.tag_scores, person_ids = excluded.person_ids,
        faces = excluded.faces, unresolved_faces = excluded.unresolved_faces,
        latitude = excluded.latitude, longitude = excluded.longitude, live = excluded.live
    WHERE kept.revision <= excluded.revision
""")

# In order, so that two writers of the same words wait for one another instead of locking each other out.
_LEARN = SQL("""
    INSERT INTO dictionary (library_id, length, term)
    SELECT library_id, length, term
    FROM unnest(%s::uuid[], %s::integer[], %s::text[]) AS word (library_id, length, term)
    WHERE NOT EXISTS (SELECT FROM dictionary d WHERE (d.library_id, d.length, d.term)
                                                   = (word.library_id, word.length, word.term))
    ORDER BY library_id, length, term
    ON CONFLICT DO NOTHING
""")


class PostgresSearchIndex:
    """One schema of its own in any database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, size: int = 4) -> AsyncIterator["PostgresSearchIndex"]:
        """Make the schema where it is missing and keep at most ``size`` connections."""
        script = files("gallery.adapters") / "postgres_search_index.sql"
        async with await AsyncConnection.connect(url) as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"migrate {SCHEMA}"])
            await connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(SCHEMA)))
            await connection.execute(SQL("SET LOCAL search_path = {}").format(Identifier(SCHEMA)))
            await connection.execute(script.read_bytes())
        async with Database.open(url, schema=SCHEMA, size=size) as database:
            yield cls(database)

    async def put(self, documents: Sequence[Document]) -> None:
        """Keep these, each unless a newer revision is there."""
        ordered = sorted(documents, key=lambda document: (document.library_id, document.photo_id))
        words = {
            (document.library_id, len(word), term)
            for document in documents
            for term in document.terms
            if (word := term.partition(":")[2]).isalpha()
        }
        async with self._database.transaction() as tx:
            await tx.executemany(_PUT, [_row(document) for document in ordered])
            await tx.execute(_LEARN, [list(column) for column in zip(*words, strict=True)] if words else [[], [], []])

    async def delete(self, library_id: UUID, photo_ids: Sequence[UUID], *, revision: int) -> None:
        """Forget these photos, each unless a newer revision is there."""
        graves = [_grave(library_id, photo_id, revision) for photo_id in sorted(set(photo_ids))]
        async with self._database.transaction() as tx:
            await tx.executemany(_PUT, graves)

    async def find(self, library_id: UUID, condition: Condition, *, after: Place | None, limit: int) -> Page:
        """One page, newest first."""
        behind: Composable = SQL("true")
        if after is not None:
            behind = SQL("(taken_at, photo_id) < ({}, {})").format(*_literals(after.taken_at, after.photo_id))
        statement = SQL(
            "SELECT taken_at, photo_id FROM documents WHERE library_id = {} AND live AND {} AND {}"
            " ORDER BY taken_at DESC, photo_id DESC LIMIT {}"
        ).format(library_id, behind, where(condition), limit + 1)
        rows = await self._rows(statement)
        return Page(tuple(Place(**row) for row in rows[:limit]), more=len(rows) > limit)

    async def count(self, library_id: UUID, condition: Condition) -> int:
        """How many documents match."""
        statement = SQL("SELECT count(*) AS found FROM documents WHERE library_id = {} AND live AND {}")
        return int((await self._rows(statement.format(library_id, where(condition))))[0]["found"])

    async def known(self, library_id: UUID, terms: Collection[str]) -> frozenset[str]:
        """Those that some document has."""
        statement = SQL(
            "SELECT term FROM unnest({}::text[]) AS term WHERE EXISTS"
            " (SELECT FROM documents WHERE library_id = {} AND terms @> ARRAY[term])"
        )
        return frozenset(row["term"] for row in await self._rows(statement.format(list(terms), library_id)))

    async def dictionary(self, library_id: UUID, *, shortest: int, longest: int) -> frozenset[str]:
        """Terms of letters only, so many characters long."""
        statement = SQL("SELECT term FROM dictionary WHERE library_id = {} AND length BETWEEN {} AND {}")
        return frozenset(row["term"] for row in await self._rows(statement.format(library_id, shortest, longest)))

    async def _rows(self, statement: Composable) -> list[dict[str, Any]]:
        async with self._database.read() as connection:
            return await (await connection.execute(statement.as_bytes(connection), prepare=False)).fetchall()


def _row(document: Document) -> Mapping[str, Any]:
    latitude, longitude = document.position or (None, None)
    return {
        "library_id": document.library_id,
        "photo_id": document.photo_id,
        "revision": document.revision,
        "taken_at": document.taken_at,
        "uploaded_at": document.uploaded_at,
        "terms": sorted(document.terms),
        "tag_scores": Jsonb(document.tag_scores),
        "person_ids": sorted(document.person_ids),
        "faces": document.faces,
        "unresolved_faces": document.unresolved_faces,
        "latitude": latitude,
        "longitude": longitude,
        "live": True,
    }


def _grave(library_id: UUID, photo_id: UUID, revision: int) -> Mapping[str, Any]:
    """What is left of a forgotten photo: a row in its place, empty, with the revision that others must beat."""
    never = datetime.min  # noqa: DTZ901 - the camera's clock has no zone
    empty = Document(photo_id, library_id, revision, never, never.replace(tzinfo=UTC), frozenset())
    return {**_row(empty), "live": False}


def where(condition: Condition) -> Composable:  # noqa: PLR0911 - one answer per kind of condition
    """Write a condition as SQL that is true or false, never null, with its values inside as literals.

    Literals rather than parameters: the planner then knows how rare a term is and picks the index by that.
    """
    match condition:
        case Everything():
            return SQL("true")
        case HasTerm(any_of, None):
            return SQL("terms && {}::text[]").format(sorted(any_of))
        case HasTerm():
            return _scored(condition)
        case HasPerson(any_of):
            return SQL("person_ids && {}::uuid[]").format(sorted(any_of))
        case TakenBetween(start, end):
            return _between("taken_at", start, end)
        case UploadedBetween(start, end):
            return _between("uploaded_at", start, end)
        case FaceCount(least, None):
            return SQL("faces >= {}").format(least)
        case FaceCount(least, most):
            return SQL("faces BETWEEN {} AND {}").format(least, Literal(most))
        case _:
            return _where_nested(condition)


def _where_nested(condition: Near | All | AnyOf | Not) -> Composable:
    match condition:
        case Near():
            return _near(condition)
        case All(parts):
            return SQL("({})").format(SQL(" AND ").join([SQL("true"), *map(where, parts)]))
        case AnyOf(parts):
            return SQL("({})").format(SQL(" OR ").join([SQL("false"), *map(where, parts)]))
        case Not(part):
            return SQL("NOT ({})").format(where(part))


def _between(column: str, start: datetime, end: datetime) -> Composable:
    return SQL("({column} >= {start} AND {column} < {end})").format(column=Identifier(column), start=start, end=end)


def _scored(condition: HasTerm) -> Composable:
    score = SQL("coalesce((tag_scores ->> {term})::float8 > {above} AND terms @> ARRAY[{term}], false)")
    parts = [score.format(term=term, above=Literal(condition.above)) for term in sorted(condition.any_of)]
    return SQL("({} AND ({}))").format(where(HasTerm(condition.any_of)), SQL(" OR ").join([SQL("false"), *parts]))


def _near(condition: Near) -> Composable:
    """A box of degrees for the index, then the haversine formula (Sinnott 1984) for what is in the box.

    Where there is no position the first part is false, and false it stays whatever the others are. Rounded, for the
    database refuses to compute with numbers whose square is too small for it.
    """
    distance = SQL(
        "2 * {radius} * asin(sqrt(least(1, power(sin(radians(latitude - {latitude}) / 2), 2)"
        " + cos(radians(latitude)) * cos(radians({latitude}))"
        " * power(sin(radians(longitude - {longitude}) / 2), 2))))"
    ).format(radius=_EARTH_RADIUS, latitude=round(condition.latitude, 12), longitude=round(condition.longitude, 12))
    return SQL("(latitude IS NOT NULL AND {} AND {} <= {})").format(_box(condition), distance, condition.kilometres)


def _box(condition: Near) -> Composable:
    """A box that surely holds the circle; near a pole or the date line only its latitudes count."""
    high = condition.kilometres / _KILOMETRES_PER_DEGREE + 1e-6
    south, north = condition.latitude - high, condition.latitude + high
    latitudes = SQL("latitude BETWEEN {} AND {}").format(south, north)
    if max(abs(south), abs(north)) > 89:  # noqa: PLR2004 - degrees; meridians meet
        return latitudes
    half_width = math.sin(min(math.pi / 2, condition.kilometres / (2 * _EARTH_RADIUS)))
    ratio = half_width / math.cos(math.radians(max(abs(south), abs(north))))
    wide = math.degrees(2 * math.asin(min(1.0, ratio))) + 1e-6
    west, east = condition.longitude - wide, condition.longitude + wide
    if west < -180 or east > 180:  # noqa: PLR2004 - degrees; the date line
        return latitudes
    return SQL("{} AND longitude BETWEEN {} AND {}").format(latitudes, west, east)


def _literals(*values: datetime | UUID) -> list[Literal]:
    return [Literal(value) for value in values]
