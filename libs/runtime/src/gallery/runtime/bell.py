"""Wake-ups across processes by NOTIFY. A hint only: whoever waits also polls, so a lost one costs half a second."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection, Error
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool

from gallery.runtime.connection import connected
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

PAUSE = timedelta(milliseconds=50)
"""Commits with a NOTIFY in them wait for one another on the whole server; so it is sent apart, 20 times a second."""
RECONNECT_AFTER = timedelta(milliseconds=500)


class Bell:
    """Rings channels soon after it is asked to, many requests in one."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[dict[str, Any]]]) -> None:
        self._pool = pool
        self._channels: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def ring(self, channels: Iterable[str]) -> None:
        """Notify these channels soon; returns at once."""
        self._channels.update(channels)
        if self._channels and self._task is None:
            self._task = asyncio.create_task(self._toll())

    async def close(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _toll(self) -> None:
        try:
            while self._channels:
                channels, self._channels = sorted(self._channels), set()
                async with self._pool.connection() as connection:
                    await connection.execute("SELECT pg_notify(c, '') FROM unnest(%s::text[]) AS c", [channels])
                await asyncio.sleep(PAUSE.total_seconds())
        except Error as error:
            log.info("wake-up not sent", cause=repr(error))
        finally:
            self._task = None


class Listener:
    """Hears one channel on a connection of its own, opened anew when it is lost."""

    def __init__(self, url: str, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._waiting: set[asyncio.Event] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, channel: str) -> AsyncIterator["Listener"]:
        """Listen for as long as the block is open."""
        listener = cls(url, channel)
        task = asyncio.create_task(listener._run())
        try:
            yield listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextlib.contextmanager
    def heard(self) -> Iterator[asyncio.Event]:
        """Lend an event that is set whenever the channel rings; clear it before looking, then wait for it."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)

    async def _run(self) -> None:
        while True:
            try:
                async with connected(self._url) as connection:
                    await self._listen(connection)
            except Error as error:
                log.info("not listening, trying again", cause=repr(error))
            await asyncio.sleep(RECONNECT_AFTER.total_seconds())

    async def _listen(self, connection: AsyncConnection[Any]) -> None:
        await connection.execute(SQL("LISTEN {}").format(Identifier(self._channel)))
        self._tell()  # what rang before is not known
        lost = asyncio.Event()

        # psycopg's own generator wakes ten times a second to look around; the socket is quiet until something comes.
        def hear() -> None:
            try:
                connection.pgconn.consume_input()
                while connection.pgconn.notifies():
                    self._tell()
            except Error:
                loop.remove_reader(socket)
                lost.set()

        loop, socket = asyncio.get_running_loop(), connection.fileno()
        loop.add_reader(socket, hear)
        try:
            await lost.wait()
        finally:
            loop.remove_reader(socket)

    def _tell(self) -> None:
        for event in self._waiting:
            event.set()


async def wait_for(event: asyncio.Event, timeout: timedelta) -> None:
    """Wait for an event, at most so long."""
    with contextlib.suppress(TimeoutError):
        # Not asyncio.wait_for: that of Python 3.11 loses a cancellation that meets the event.
        async with asyncio.timeout(max(timeout.total_seconds(), 0)):
            await event.wait()
