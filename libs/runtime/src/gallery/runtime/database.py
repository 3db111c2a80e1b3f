"""One service's place in Postgres: connections that see its schema and nothing else."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, AsyncCursor
from psycopg.abc import Params
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed
from psycopg_pool import AsyncConnectionPool

Row = dict[str, Any]
Query = str | bytes | SQL | Composed

TRANSACTION_TIMEOUT = "5s"
"""A transaction left open stalls every reader of the outbox, so none lasts longer."""

_LOCK_KEYS = "SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(%s::text[]) AS key"


@dataclass(frozen=True, slots=True)
class Transaction:
    """A running transaction and the keys it may publish about."""

    connection: AsyncConnection[Row]
    keys: frozenset[str]

    async def execute(self, query: Query, params: Params | None = None) -> AsyncCursor[Row]:
        """Run one statement."""
        return await self.connection.execute(query, params)

    async def executemany(self, query: Query, params: Sequence[Params]) -> None:
        """Run one statement for each row of parameters, in one round trip."""
        async with self.connection.cursor() as cursor:
            await cursor.executemany(query, params)


class Database:
    """A pool whose search path is one schema; rows are dictionaries."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Row]], *, url: str, schema: str) -> None:
        self._pool = pool
        self.url = url
        self.schema = schema

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, schema: str, size: int = 4) -> AsyncIterator["Database"]:
        """Open at most ``size`` connections; they are made when needed."""
        pool = AsyncConnectionPool(
            url,
            connection_class=AsyncConnection[Row],
            kwargs={
                "row_factory": dict_row,
                "options": f"-c search_path={schema} -c transaction_timeout={TRANSACTION_TIMEOUT}",
                "autocommit": True,
            },
            min_size=1,
            max_size=size,
            open=False,
            check=AsyncConnectionPool.check_connection,
        )
        async with pool:
            yield cls(pool, url=url, schema=schema)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection[Row]]:
        """Lend a connection for reading; each statement sees the newest state."""
        async with self._pool.connection() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self, *, keys: Iterable[str] = ()) -> AsyncIterator[Transaction]:
        """Begin a transaction that may publish facts about ``keys``.

        The keys are locked, in order, before anything is written: only then do transaction ids follow the order of
        commits for each key (see docs/adr/0002-outbox.md).
        """
        ordered = sorted(set(keys))
        async with self._pool.connection() as connection, connection.transaction():
            if ordered:
                await connection.execute(_LOCK_KEYS, [ordered])
            yield Transaction(connection, frozenset(ordered))
