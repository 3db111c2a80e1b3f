"""The bus of the embedded profile: the outbox tables of all services, read by cursor."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool

from gallery.events.topics import Topic
from gallery.ports.bus import Message
from gallery.runtime.outbox import CHANNEL

Cursor = tuple[int, int, int]
"""(epoch, transaction id, sequence); a row is new when its own is greater."""

START: Cursor = (0, 0, 0)

POLL_EVERY = timedelta(milliseconds=500)
"""Polling is the truth; a notice only shortens the wait."""

_READ = SQL(
    """
    SELECT id, topic, type, key, library_id, revision, at, traceparent, data, epoch, xid::text::bigint AS xid, seq
    FROM {}.outbox
    WHERE (epoch, xid, seq) > (%(epoch)s, %(xid)s::text::xid8, %(seq)s)
      AND xid < pg_snapshot_xmin(pg_current_snapshot())
      AND topic = ANY(%(topics)s)
    ORDER BY epoch, xid, seq LIMIT %(limit)s
    """
)
_LOAD = SQL("SELECT epoch, xid::text::bigint AS xid, seq FROM {}.cursors WHERE subscription = %s AND producer = %s")
_SAVE = SQL(
    """
    INSERT INTO {}.cursors (subscription, producer, epoch, xid, seq)
    VALUES (%s, %s, %s, %s::text::xid8, %s)
    ON CONFLICT (subscription, producer)
    DO UPDATE SET epoch = excluded.epoch, xid = excluded.xid, seq = excluded.seq
    """
)


@dataclass(slots=True)
class _Source:
    """How far one producer's outbox has been handed out and committed."""

    schema: str
    topics: list[str]
    read: Cursor = START
    flight: dict[UUID, tuple[Cursor, bool]] = field(default_factory=dict)
    """Messages handed out, in order, and whether each is committed."""

    def advance(self) -> Cursor | None:
        """Drop the committed head of what is in flight; return its last place."""
        reached = None
        for event_id, (place, done) in list(self.flight.items()):
            if not done:
                break
            reached = place
            del self.flight[event_id]
        return reached


class PostgresSubscription:
    """One member reads all; the embedded profile has one process that consumes."""

    def __init__(self, bus: "PostgresBus", name: str, sources: Sequence[_Source]) -> None:
        self._bus = bus
        self._name = name
        self._sources = sources

    async def poll(self, *, limit: int, timeout: timedelta) -> Sequence[Message]:
        """See ``Subscription.poll``."""
        deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
        while True:
            woken = self._bus.woken
            messages = [message for source in self._sources for message in await self._read(source, limit)]
            left = deadline - asyncio.get_running_loop().time()
            if messages or left <= 0:
                return self._bus.arranged(messages)
            await self._bus.wait(woken, min(left, POLL_EVERY.total_seconds()))

    async def commit(self, messages: Sequence[Message]) -> None:
        """See ``Subscription.commit``; the durable place moves over what is committed without a hole."""
        done = {message.id for message in messages}
        for source in self._sources:
            for event_id in done & source.flight.keys():
                source.flight[event_id] = (source.flight[event_id][0], True)
            if (reached := source.advance()) is not None:
                await self._bus.save(self._name, source.schema, reached)

    async def _read(self, source: _Source, limit: int) -> list[Message]:
        rows = await self._bus.rows(source.schema, topics=source.topics, after=source.read, limit=limit)
        for row in rows:
            place = (row.pop("epoch"), row.pop("xid"), row.pop("seq"))
            source.read = place
            source.flight[row["id"]] = (place, False)
        return [Message(**row) for row in rows]


class PostgresBus:
    """Reads the outboxes that ``producers`` names.

    Args:
        url: Of a role that may read every outbox and write the cursors.
        home: Schema that keeps the cursors.
        producers: Schema of the service that produces each topic.
        shuffle: For tests: mixes the order between keys, never within one.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[dict[str, Any]]],
        *,
        home: str,
        producers: Mapping[Topic, str],
        shuffle: random.Random | None = None,
    ) -> None:
        self.woken = 0
        self._pool = pool
        self._home = Identifier(home)
        self._producers = producers
        self._shuffle = shuffle
        self._wake = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, home: str, producers: Mapping[Topic, str], shuffle: random.Random | None = None
    ) -> AsyncIterator["PostgresBus"]:
        """Open a bus for the block's time."""
        pool = AsyncConnectionPool(
            url,
            connection_class=AsyncConnection[dict[str, Any]],
            kwargs={"row_factory": dict_row, "autocommit": True},
            min_size=1,
            max_size=4,
            open=False,
            check=AsyncConnectionPool.check_connection,
        )
        async with pool:
            bus = cls(pool, home=home, producers=producers, shuffle=shuffle)
            listener = asyncio.create_task(bus._listen(url))
            try:
                yield bus
            finally:
                listener.cancel()
                await asyncio.gather(listener, return_exceptions=True)

    @asynccontextmanager
    async def subscribe(self, name: str, topics: Sequence[str]) -> AsyncIterator[PostgresSubscription]:
        """See ``Bus.subscribe``."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for topic in topics:
            wanted[self._producers[Topic(topic)]].append(topic)
        sources = [_Source(schema, names, await self._load(name, schema)) for schema, names in wanted.items()]
        yield PostgresSubscription(self, name, sources)

    async def rows(self, schema: str, *, topics: list[str], after: Cursor, limit: int) -> list[dict[str, Any]]:
        """The next committed rows of one outbox, in order."""
        epoch, xid, seq = after
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                _READ.format(Identifier(schema)),
                {"epoch": epoch, "xid": str(xid), "seq": seq, "topics": topics, "limit": limit},
            )
            return await cursor.fetchall()

    async def save(self, name: str, schema: str, place: Cursor) -> None:
        """Remember how far a subscription has come with one producer."""
        epoch, xid, seq = place
        async with self._pool.connection() as connection:
            await connection.execute(_SAVE.format(self._home), [name, schema, epoch, str(xid), seq])

    def arranged(self, messages: list[Message]) -> list[Message]:
        """Return messages in the order to hand out."""
        if self._shuffle is None:
            return messages
        by_key: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            by_key[message.key].append(message)
        slots = [message.key for message in messages]
        self._shuffle.shuffle(slots)
        return [by_key[key].pop(0) for key in slots]

    async def wait(self, woken: int, seconds: float) -> None:
        """Wait for a notice after the ``woken``-th, at most so long."""
        try:
            async with asyncio.timeout(seconds), self._wake:
                await self._wake.wait_for(lambda: self.woken > woken)
        except TimeoutError:
            return

    async def _load(self, name: str, schema: str) -> Cursor:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_LOAD.format(self._home), [name, schema])
            row = await cursor.fetchone()
        return START if row is None else (row["epoch"], row["xid"], row["seq"])

    async def _listen(self, url: str) -> None:
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            async for _ in connection.notifies():
                async with self._wake:
                    self.woken += 1
                    self._wake.notify_all()
