"""PostgreSQL 18 from a wheel's binaries, started and stopped by us.

The wheel's own life-cycle code is not used: it lets the server outlive its owner and writes outside the data folder.
Here the server is our child, gets SIGINT when we die however we die, is started again when it dies, and everything of
it is in one folder. ``postmaster.pid`` in there begins with its process id.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from psycopg import AsyncConnection, OperationalError

from gallery.adapters import postgres_files as files
from gallery.adapters.postgres_files import Server, launch
from gallery.runtime.errors import DatabaseCorruptError, DatabaseError, DatabaseInUseError, DatabaseNoSpaceError
from gallery.runtime.logs import get_logger

__all__ = ["DatabaseCorruptError", "DatabaseError", "DatabaseInUseError", "DatabaseNoSpaceError", "EmbeddedPostgres"]

log = get_logger(__name__)

START_WITHIN = timedelta(seconds=60)
"""Recovery after a kill takes about a second; a large log on a slow disk takes longer."""
STOP_WITHIN = timedelta(seconds=20)
LOOK_EVERY = timedelta(milliseconds=20)
RESTARTS = 5
RESTARTS_WITHIN = timedelta(minutes=1)
"""A server that dies more often than that has a cause that starting it again does not mend."""

INITDB = ("-A", "trust", "-U", "gallery", "-E", "utf8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""The socket's folder guards the database, not a password. Locale as the byte order of UTF-8: the same everywhere."""

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "80",
    "shared_buffers": "128MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "autovacuum_naptime": "30s",
    "max_locks_per_transaction": "256",  # daily partitions count each
    "log_min_messages": "warning",
}
"""For a small machine. What a crash could cost (fsync, synchronous_commit) stays as it is: on."""


async def _initialise(server: Server) -> None:
    """Make the database beside its place, so that a kill in the middle leaves nothing that looks like one."""
    fresh = files.fresh_folder(server)
    process = await launch(server, "initdb", *INITDB, "-D", str(fresh), output=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        files.remove(fresh)
        raise files.initdb_failure(server, output.decode(errors="replace"))
    fresh.rename(server.folder)


async def _no_longer_running(folder: Path) -> None:
    """Wait for a server that was told to stop when its owner died."""
    try:
        async with asyncio.timeout(STOP_WITHIN.total_seconds()):
            while files.running_pid(folder) is not None:  # noqa: ASYNC110  # another process, it sends no event
                await asyncio.sleep(LOOK_EVERY.total_seconds())
    except TimeoutError:
        raise DatabaseInUseError(f"another database server runs on {folder}: stop it first") from None
    (folder / "postmaster.pid").unlink(missing_ok=True)  # its number may be another process's by now


async def _start(server: Server) -> asyncio.subprocess.Process:
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    with files.fresh_log(server.folder) as output:
        process = await launch(
            server, "postgres", "-D", str(server.folder), "-k", str(server.sockets), *settings, output=output
        )
    try:
        await _ready(process, server)
    except BaseException:
        await _stop(process)
        raise
    return process


async def _ready(process: asyncio.subprocess.Process, server: Server) -> None:
    try:
        async with asyncio.timeout(START_WITHIN.total_seconds()):
            while True:
                if process.returncode is not None:
                    raise files.start_failure(server.folder)
                try:
                    connection = await AsyncConnection.connect(server.url)
                except OperationalError:
                    await asyncio.sleep(LOOK_EVERY.total_seconds())
                else:
                    await connection.close()
                    return
    except TimeoutError as error:
        sentence = f"the database in {server.folder} did not open in time, see server.log there"
        raise files.failure(server.folder, sentence) from error


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGINT)  # fast shutdown: ends sessions, writes a checkpoint
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN.total_seconds())
    except TimeoutError:
        process.send_signal(signal.SIGQUIT)  # as after a crash: the next start recovers
        await process.wait()


class EmbeddedPostgres:
    """One server on one folder.

    Attributes:
        url: For connections through its socket; stays the same when the server is started again.
    """

    def __init__(self, process: asyncio.subprocess.Process, server: Server) -> None:
        self.url = server.url
        self._server = server
        self._process = process
        self._keeper = asyncio.create_task(self._keep())

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return self._process.pid

    async def died(self) -> None:
        """Wait until the server cannot be kept running.

        Raises:
            DatabaseError: It does not start again, or dies again and again.
        """
        await asyncio.shield(self._keeper)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        deaths: list[float] = []
        while True:
            code = await self._process.wait()
            log.error("database server died, starting it again", exit_code=code)
            deaths = [at for at in deaths if at > loop.time() - RESTARTS_WITHIN.total_seconds()] + [loop.time()]
            if len(deaths) > RESTARTS:
                sentence = f"the database in {self._server.folder} dies again and again, see server.log there"
                raise files.failure(self._server.folder, sentence)
            await _no_longer_running(self._server.folder)
            self._process = await _start(self._server)

    async def _close(self) -> None:
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await _stop(self._process)

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator["EmbeddedPostgres"]:
        """Make the database if there is none, and serve it for the block's time.

        Call it from the main thread, or one that lives as long: the server ends with the thread that started it.

        Raises:
            DatabaseInUseError: A server runs on it.
            DatabaseCorruptError: It does not open.
            DatabaseNoSpaceError: There is no room.
            DatabaseError: Anything else.
        """
        with files.prepared(folder.resolve()) as server:
            if not server.folder.exists():
                await _initialise(server)
            files.check(server.folder)
            files.make_sockets(server)
            await _no_longer_running(server.folder)
            postgres = cls(await _start(server), server)
            try:
                yield postgres
            finally:
                await postgres._close()
                files.remove_sockets(server)
