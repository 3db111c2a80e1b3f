"""The bus of the embedded profile: the outbox tables of all services, read by cursor."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier

from gallery.adapters.deliveries import Progress, shuffled
from gallery.events.topics import Topic
from gallery.ports.bus import Message
from gallery.runtime.bell import Listener, wait_for
from gallery.runtime.connection import Row, connected
from gallery.runtime.outbox import CHANNEL

Cursor = tuple[int, int, int]
"""(epoch, transaction id, sequence); a row is new when its own is greater."""

START: Cursor = (0, 0, 0)

LET_GO = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
"""A member whose machine vanished is missed after 25 s instead of two hours, and the next has its turn."""

POLL_EVERY = timedelta(milliseconds=500)
"""Polling is the truth; a notice only shortens the wait."""

# Below the oldest transaction still running, so that nothing can come to lie behind the cursor. Rows of an older epoch
# are all there; their ids say nothing about the transactions of today.
_READ = SQL(
    """
    (SELECT id, topic, type, key, library_id, revision, at, traceparent, data, epoch, xid::text::bigint AS xid, seq
     FROM {}.outbox
     WHERE topic = %s AND (epoch, xid, seq) > (%s, %s::text::xid8, %s)
       AND (epoch < (SELECT max(epoch) FROM {}.epochs) OR xid < pg_snapshot_xmin(pg_current_snapshot()))
     ORDER BY epoch, xid, seq LIMIT %s)
    """
)
# All topics of a subscription in one round trip: many polls find something in one of them only.
_ALL = SQL("SELECT * FROM ({}) AS fact ORDER BY epoch, xid, seq")
# What is not committed yet is not seen; what lies above the horizon waits, too.
_COUNT = SQL("SELECT at FROM {}.outbox WHERE topic = %s AND (epoch, xid, seq) > (%s, %s::text::xid8, %s)")
_BACKLOG = SQL("SELECT count(*) AS rows, coalesce(now() - min(at), '0') AS age FROM ({}) AS waiting")
_LOAD = SQL("SELECT topic, epoch, xid::text::bigint AS xid, seq FROM {}.cursors WHERE subscription = %s")
_SAVE = SQL(
    """
    INSERT INTO {}.cursors (subscription, topic, epoch, xid, seq)
    VALUES (%s, %s, %s, %s::text::xid8, %s)
    ON CONFLICT (subscription, topic)
    DO UPDATE SET epoch = excluded.epoch, xid = excluded.xid, seq = excluded.seq
    """
)
_JOIN = "SELECT pg_advisory_lock(hashtextextended('subscription ' || %s, 0))"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a subscription has not committed.

    Attributes:
        rows: How many facts.
        age: Of the oldest of them; zero when there is none.
    """

    rows: int
    age: timedelta


class PostgresSubscription:
    """The one member of a subscription; losing ``connection``, which holds its place, ends it."""

    generation = 0

    def __init__(
        self, bus: "PostgresBus", connection: AsyncConnection[Row], *, name: str, places: Mapping[str, Cursor]
    ) -> None:
        self._bus = bus
        self._connection = connection
        self._name = name
        self._read = dict(places)
        self._query = bus.read_of(places)
        self._progress: dict[str, Progress[Cursor]] = {topic: Progress() for topic in places}
        self._fetched: deque[Message] = deque()

    async def poll(self, *, limit: int, timeout: timedelta) -> Sequence[Message]:
        """See ``Subscription.poll``."""
        deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
        with self._bus.listener.heard() as rang:
            while True:
                rang.clear()
                if not self._fetched:
                    await self._fetch(limit)
                left = timedelta(seconds=deadline - asyncio.get_running_loop().time())
                if self._fetched or left <= timedelta(0):
                    return [self._fetched.popleft() for _ in range(min(limit, len(self._fetched)))]
                await wait_for(rang, min(left, POLL_EVERY))

    async def commit(self, messages: Sequence[Message]) -> None:
        """See ``Subscription.commit``; the durable place moves over what is committed without a hole."""
        done = {message.id for message in messages}
        reached = {topic: place for topic, progress in self._progress.items() if (place := progress.commit(done))}
        for topic, (epoch, xid, seq) in reached.items():
            await self._connection.execute(self._bus.save, [self._name, topic, epoch, str(xid), seq])

    async def _fetch(self, limit: int) -> None:
        places = self._read.items()
        asked = [part for topic, (epoch, xid, seq) in places for part in (topic, epoch, str(xid), seq, limit)]
        cursor = await self._connection.execute(self._query, asked, binary=True)
        messages: list[Message] = []
        for row in await cursor.fetchall():
            topic, place = row["topic"], (row.pop("epoch"), row.pop("xid"), row.pop("seq"))
            self._read[topic] = place
            self._progress[topic].hand_out(row["id"], place)
            messages.append(Message(**row))
        self._fetched.extend(shuffled(messages, self._bus.shuffle))


class PostgresBus:
    """Reads the outboxes that ``producers`` names.

    Args:
        home: Schema that keeps the cursors.
        producers: Schema of the service that produces each topic.
        shuffle: For tests: mixes the order between keys, never within one.
    """

    def __init__(
        self,
        url: str,
        listener: Listener,
        *,
        home: str,
        producers: Mapping[Topic, str],
        shuffle: random.Random | None = None,
    ) -> None:
        self.listener = listener
        self.shuffle = shuffle
        self.save = _SAVE.format(Identifier(home))
        self._load = _LOAD.format(Identifier(home))
        self._url = url
        self._producers = producers

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, home: str, producers: Mapping[Topic, str], shuffle: random.Random | None = None
    ) -> AsyncIterator["PostgresBus"]:
        """Open a bus for the block's time.

        Args:
            url: Of a role that may read every outbox and write the cursors.
            home: See the class.
            producers: See the class.
            shuffle: See the class.
        """
        async with Listener.open(url, CHANNEL) as listener:
            yield cls(url, listener, home=home, producers=producers, shuffle=shuffle)

    @asynccontextmanager
    async def subscribe(self, name: str, topics: Sequence[str]) -> AsyncIterator[PostgresSubscription]:
        """See ``Bus.subscribe``; a second member, in whatever process, waits until the first has left."""
        async with connected(self._url, options=LET_GO) as connection:
            await connection.execute(_JOIN, [name])
            places = await self._places(connection, name, topics)
            yield PostgresSubscription(self, connection, name=name, places=places)

    async def backlog(self, name: str, topics: Sequence[str]) -> Backlog:
        """Measure how far a subscription is behind, whoever its member is."""
        async with connected(self._url) as connection:
            places = await self._places(connection, name, topics)
            waiting = (_COUNT.format(Identifier(self._producers[Topic(topic)])) for topic in places)
            asked = [part for topic, (epoch, xid, seq) in places.items() for part in (topic, epoch, str(xid), seq)]
            cursor = await connection.execute(_BACKLOG.format(SQL(" UNION ALL ").join(waiting)), asked)
            return Backlog(**(await cursor.fetchall())[0])

    async def _places(self, connection: AsyncConnection[Row], name: str, topics: Sequence[str]) -> dict[str, Cursor]:
        places = dict.fromkeys(topics, START)
        for row in await (await connection.execute(self._load, [name])).fetchall():
            if row["topic"] in places:
                places[row["topic"]] = (row["epoch"], row["xid"], row["seq"])
        return places

    def read_of(self, topics: Iterable[str]) -> Composed:
        """The statement that reads topics from their producers' outboxes, each behind a place of its own."""
        schemas = [Identifier(self._producers[Topic(topic)]) for topic in topics]
        return _ALL.format(SQL("UNION ALL").join(_READ.format(schema, schema) for schema in schemas))
