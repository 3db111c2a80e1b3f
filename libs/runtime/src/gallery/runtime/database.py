"""One service's place in Postgres: connections that see its schema and nothing else."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from psycopg import AsyncClientCursor, AsyncConnection, AsyncCursor
from psycopg.abc import Params
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed
from psycopg_pool import AsyncConnectionPool

from gallery.runtime import metrics
from gallery.runtime.bell import Bell, Listener, wait_for
from gallery.runtime.connection import Row

Query = str | bytes | SQL | Composed

TRANSACTION_TIMEOUT = "5s"
"""A transaction left open stalls every reader of the outbox, so none lasts longer."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A running transaction and the keys it may publish about.

    Attributes:
        connection: What it runs on.
        keys: Of the facts it may say.
        opening: Rows of the statement that it was begun with, if any.
    """

    connection: AsyncConnection[Row]
    keys: frozenset[str]
    opening: AsyncCursor[Row]
    channels: set[str] = field(default_factory=set)

    async def execute(self, query: Query, params: Params | None = None) -> AsyncCursor[Row]:
        """Run one statement."""
        return await self.connection.execute(query, params)

    async def executemany(self, query: Query, params: Sequence[Params]) -> None:
        """Run one statement for each row of parameters, in one round trip."""
        async with self.connection.cursor() as cursor:
            await cursor.executemany(query, params)

    def wake(self, channel: str) -> None:
        """Notify this channel soon after the commit."""
        self.channels.add(channel)


class Database:
    """A pool whose search path is one schema; rows are dictionaries."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Row]], *, url: str, schema: str) -> None:
        self._pool = pool
        self.url = url
        self.schema = schema
        self._bell = Bell(pool)
        self._rung: dict[str, asyncio.Event] = {}
        self._listening = AsyncExitStack()
        self._opening = asyncio.Lock()

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
                "application_name": f"gallery {schema}",
                "autocommit": True,
            },
            min_size=1,
            max_size=size,
            open=False,
            check=still_connected,
        )
        async with pool:
            database = cls(pool, url=url, schema=schema)
            try:
                with metrics.sampled(database._sample):
                    yield database
            finally:
                await database._listening.aclose()
                await database._bell.close()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection[Row]]:
        """Lend a connection for reading; each statement sees the newest state."""
        async with self._pool.connection() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(
        self, *, keys: Iterable[str] = (), first: SQL | None = None, params: Params | None = None
    ) -> AsyncIterator[Transaction]:
        """Begin a transaction that may publish facts about ``keys``.

        The keys are locked, in order, before anything is written: only then do transaction ids follow the order of
        commits for each key (see docs/adr/0002-outbox.md). The locks are of this schema: services don't wait for one
        another.

        Args:
            keys: Of the facts.
            first: A statement to begin with, in the same round trip; its rows are the transaction's ``opening``.
            params: Of that statement.
        """
        held = frozenset(keys)
        async with self._pool.connection() as connection:
            transaction = Transaction(connection, held, await _begin(connection, self.schema, held, first, params))
            yield transaction  # an error rolls back: the pool takes no connection with an open transaction
            await connection.commit()
        self._bell.ring(transaction.channels)

    async def ready(self) -> Mapping[str, bool]:
        """Say, as ``/health/ready`` asks, that the database answers; raises when it does not."""
        async with self.read() as connection:
            await connection.execute("SELECT")
        return {"database": True}

    async def _sample(self) -> list[metrics.Sample]:
        pool = self._pool.get_stats()
        idle, made = pool["pool_available"], pool["pool_size"]
        states = {"used": made - idle, "idle": idle, "spare": pool["pool_max"] - made}
        connections = [metrics.CONNECTIONS.at(number, self.schema, state) for state, number in states.items()]
        return [*connections, metrics.CONNECTION_WAITS.at(pool["requests_waiting"], self.schema)]

    async def wait(self, channel: str, *, timeout: timedelta) -> None:
        """Wait until a channel has rung since the last call, at most so long."""
        async with self._opening:
            if channel not in self._rung:
                listener = await self._listening.enter_async_context(Listener.open(self.url, channel))
                self._rung[channel] = self._listening.enter_context(listener.heard())
        await wait_for(self._rung[channel], timeout)
        self._rung[channel].clear()


async def still_connected(connection: AsyncConnection[Any]) -> None:
    """Raise when the server has closed this connection; costs no round trip, since its socket is readable then."""
    connection.pgconn.consume_input()  # takes in the server's parting words
    connection.pgconn.consume_input()  # meets the end behind them


async def _begin(
    connection: AsyncConnection[Row], schema: str, keys: frozenset[str], first: SQL | None, params: Params | None
) -> AsyncCursor[Row]:
    """Begin, lock and run the first statement in one round trip, which takes parameters bound on this side."""
    statements: list[SQL | Composed] = [SQL("BEGIN")]
    if keys:
        locks = sorted(_lock_id(schema, key) for key in keys)  # one order for all, so that nobody deadlocks
        statements.append(SQL("SELECT pg_advisory_xact_lock(k) FROM unnest({}::bigint[]) AS k").format(locks))
    if first is not None:
        statements.append(first)
    cursor = AsyncClientCursor(connection, row_factory=dict_row)
    await cursor.execute(SQL(";").join(statements), params)
    while cursor.nextset():
        pass
    return cursor


def _lock_id(schema: str, key: str) -> int:
    digest = hashlib.blake2b(f"{schema} {key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
