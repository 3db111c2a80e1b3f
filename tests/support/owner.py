"""A process that owns an embedded database until it is killed; prints the server's process id and URL."""

import asyncio
import sys
from pathlib import Path

from gallery.adapters.embedded_postgres import EmbeddedPostgres


async def own(folder: Path) -> None:
    async with EmbeddedPostgres.running(folder) as server:
        print(server.pid, server.url, flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(own(Path(sys.argv[1])))
