"""One connection to Postgres of its own, beside a service's pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

Row = dict[str, Any]


@asynccontextmanager
async def connected(url: str, options: str = "") -> AsyncIterator[AsyncConnection[Row]]:
    """Open one in autocommit; it is closed at once, whatever ends the block.

    The connection's own block would roll back first, and stay open when it is cancelled a second time over that.

    Args:
        url: Where to.
        options: Settings of the session, as on the command line of the server.
    """
    connection = await AsyncConnection[Row].connect(url, autocommit=True, row_factory=dict_row, options=options)
    try:
        yield connection
    finally:
        await connection.close()
