"""One real PostgreSQL for the whole test run, and a database of its own for each test."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from gallery.adapters.embedded_postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Keep a server running in a thread with an event loop of its own; yields its URL."""
    started: list[str] = []
    ready, stop = threading.Event(), threading.Event()

    async def serve(folder: Path) -> None:
        async with EmbeddedPostgres.running(folder) as server:
            async with await psycopg.AsyncConnection.connect(server.url, autocommit=True) as connection:
                await connection.execute("ALTER SYSTEM SET fsync = off")  # nobody pulls the plug on a test
                await connection.execute("SELECT pg_reload_conf()")
            started.append(server.url)
            ready.set()
            await asyncio.to_thread(stop.wait)

    folder = tmp_path_factory.mktemp("postgres") / "data"
    thread = threading.Thread(target=lambda: asyncio.run(serve(folder)), daemon=True)
    thread.start()
    assert ready.wait(60), "PostgreSQL did not start"
    yield started[0]
    stop.set()
    thread.join(30)


@pytest_asyncio.fixture
async def database_url(postgres_server: str) -> AsyncIterator[str]:
    """A database that only this test uses."""
    name = f"test_{uuid4().hex}"
    async with await psycopg.AsyncConnection.connect(postgres_server, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {name}".encode())
    yield postgres_server.replace("/postgres?", f"/{name}?")
    async with await psycopg.AsyncConnection.connect(postgres_server, autocommit=True) as connection:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
