"""A database that opens again after every way of dying, or says in a sentence why not."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from support import owner
from support.disks import ballast, small_disk
from support.waiting import expect_soon

from gallery.adapters.embedded_postgres import (
    DatabaseCorruptError,
    DatabaseError,
    DatabaseInUseError,
    DatabaseNoSpaceError,
    EmbeddedPostgres,
)
from gallery.adapters.postgres_files import running_pid


async def run(url: str, statement: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def owned(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, owner.__file__, str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        pid, url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()
        yield process, int(pid), url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


async def test_data_survives_a_stop_and_the_server_does_not(folder: Path) -> None:
    async with EmbeddedPostgres.running(folder) as server:
        await run(server.url, "CREATE TABLE kept AS SELECT 1 AS n")
        assert running_pid(folder) == server.pid
    assert running_pid(folder) is None
    async with EmbeddedPostgres.running(folder) as server:
        assert await run(server.url, "SELECT n FROM kept") == [(1,)]


async def test_a_killed_owner_takes_the_server_along_and_the_next_start_waits_for_it(folder: Path) -> None:
    async with owned(folder) as (process, _, url):
        await run(url, "CREATE TABLE kept AS SELECT 1 AS n")
        process.kill()
        await process.wait()
    async with EmbeddedPostgres.running(folder) as server:
        assert await run(server.url, "SELECT n FROM kept") == [(1,)]


async def test_a_killed_server_is_started_again_at_the_same_address(folder: Path) -> None:
    async with EmbeddedPostgres.running(folder) as server:
        await run(server.url, "CREATE TABLE kept AS SELECT 1 AS n")
        killed = server.pid
        os.kill(killed, signal.SIGKILL)

        async def back() -> bool:
            try:
                return server.pid != killed and await run(server.url, "SELECT n FROM kept") == [(1,)]
            except psycopg.OperationalError:
                return False

        await expect_soon(back)


async def test_a_number_left_over_that_is_another_process_s_by_now_is_no_server(folder: Path) -> None:
    async with EmbeddedPostgres.running(folder):
        pass
    (folder / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}\n0\n5432\n\n\n")
    async with EmbeddedPostgres.running(folder) as server:
        assert await run(server.url, "SELECT 1") == [(1,)]


async def test_a_second_start_on_the_same_folder_is_refused(folder: Path) -> None:
    async with EmbeddedPostgres.running(folder):
        with pytest.raises(DatabaseInUseError, match="stop it first"):
            async with EmbeddedPostgres.running(folder):
                pytest.fail("two servers")


async def test_a_start_that_died_half_way_is_begun_anew(folder: Path) -> None:
    folder.with_name("postgres.new").mkdir()
    (folder.with_name("postgres.new") / "PG_VERSION").write_text("18")
    async with EmbeddedPostgres.running(folder) as server:
        assert await run(server.url, "SELECT 1") == [(1,)]


async def test_a_folder_that_is_no_database_is_named_so(folder: Path) -> None:
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"")
    with pytest.raises(DatabaseCorruptError, match="holds no database"):
        async with EmbeddedPostgres.running(folder):
            pytest.fail("opened")


async def test_a_damaged_database_is_named_so(folder: Path) -> None:
    async with EmbeddedPostgres.running(folder):
        pass
    (folder / "global" / "pg_control").write_bytes(b"\0" * 8192)
    with pytest.raises(DatabaseCorruptError, match="restore it from a backup"):
        async with EmbeddedPostgres.running(folder):
            pytest.fail("opened")


async def test_a_long_path_and_odd_letters_are_fine(tmp_path: Path) -> None:
    folder = tmp_path / ("Überraschung & 100 %" * 4) / "postgres"
    async with EmbeddedPostgres.running(folder) as server:
        assert await run(server.url, "SELECT 1") == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
async def test_folders_closed_to_the_server_s_user_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with EmbeddedPostgres.running(closed / "postgres") as server:
        assert await run(server.url, "SELECT 1") == [(1,)]
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
    assert closed.stat().st_mode & 0o777 == 0o700


async def test_a_full_disk_is_named_so(tmp_path: Path) -> None:
    with small_disk(tmp_path, size="8m"), pytest.raises(DatabaseNoSpaceError, match="make room"):
        async with EmbeddedPostgres.running(tmp_path / "postgres"):
            pytest.fail("opened")


async def test_a_log_that_cannot_grow_is_named_so_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path, size="80m"):
        folder = tmp_path / "postgres"
        async with EmbeddedPostgres.running(folder) as server:
            await run(server.url, "CREATE TABLE kept AS SELECT 1 AS n")
            filling = ballast(tmp_path, leave=0)
            await run(server.url, "SELECT pg_switch_wal()")
            with suppress(psycopg.OperationalError):
                await run(server.url, "CREATE TABLE lost AS SELECT 1 AS n")
            with pytest.raises(DatabaseNoSpaceError, match="make room"):
                await server.died()
        filling.unlink()
        async with EmbeddedPostgres.running(folder) as server:
            assert await run(server.url, "SELECT n FROM kept") == [(1,)]


async def test_a_folder_that_cannot_be_made_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="cannot be kept"):
        async with EmbeddedPostgres.running(tmp_path / "file" / "postgres"):
            pytest.fail("opened")
