"""The server of Postgres, reached for the first time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection, OperationalError, ProgrammingError

from gallery.runtime.errors import UnfitEngineError

OLDEST = 18
"""It numbers dead letters by uuidv7 and ends transactions that last too long."""
_NEEDED = "PostgreSQL 18 or newer is needed at GALLERY_DATABASE_URL"


@asynccontextmanager
async def reached(url: str) -> AsyncIterator[AsyncConnection[tuple[str]]]:
    """Open one connection; what was done over it is committed at the end of the block.

    Raises:
        UnfitEngineError: Nobody answers, we are not let in, or the server is too old.
    """
    try:
        connection = await AsyncConnection[tuple[str]].connect(url)
    except OperationalError as error:
        told = str(error).strip().splitlines()[-1]
        raise UnfitEngineError(f"postgres cannot be used ({told}); {_NEEDED}: start it, or mend the address") from error
    except ProgrammingError:  # its text would show the address, password included
        raise UnfitEngineError(f"the address of postgres cannot be read; {_NEEDED}") from None
    async with connection:
        found = connection.info.server_version // 10_000
        if found < OLDEST:
            raise UnfitEngineError(f"postgres has version {found}; {_NEEDED}")
        yield connection
