"""A connection of its own ends with its block, however impatiently that is ended."""

import asyncio

import pytest
from psycopg import AsyncConnection

from gallery.runtime.connection import Row, connected


async def test_a_connection_in_use_is_closed_although_its_block_is_cancelled_twice(database_url: str) -> None:
    opened: asyncio.Queue[AsyncConnection[Row]] = asyncio.Queue()

    async def work() -> None:
        async with connected(database_url) as connection:
            opened.put_nowait(connection)
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    connection = await opened.get()
    async with connection.lock:  # as a statement that is under way holds it
        for _ in range(2):
            task.cancel()
            await asyncio.wait([task], timeout=0.1)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connection.closed
