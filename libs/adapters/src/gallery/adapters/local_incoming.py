"""Files that are not objects yet, and what becomes of them when their writer dies."""

import fcntl
import hashlib
import os
import shutil
import uuid
import weakref
from pathlib import Path


class Incoming:
    """A folder of this process's own for files under way; those of dead processes are swept.

    Args:
        folder: Shared by all processes; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._own, lock = _own_folder(folder)
        weakref.finalize(self, os.close, lock)

    def file(self) -> "Unfinished":
        """Name a new file; nothing is made yet."""
        return Unfinished(self._own / uuid.uuid4().hex)


class Unfinished:
    """A file that is being written and hashed. Blocking: call it in a thread.

    Attributes:
        path: Rename it to keep it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._hash = hashlib.sha256()
        self._size = 0

    def open(self) -> None:
        """Make the file."""
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, chunks: list[bytes]) -> None:
        """Append and hash."""
        assert self._fd is not None  # noqa: S101 - open
        for chunk in chunks:
            self._hash.update(chunk)
            left = memoryview(chunk)
            while left:
                left = left[os.write(self._fd, left) :]
            self._size += len(chunk)

    def finish(self) -> tuple[bytes, int]:
        """Bring it to the disk; return sha256 and size."""
        assert self._fd is not None  # noqa: S101 - open
        os.fsync(self._fd)
        return self._hash.digest(), self._size

    def discard(self) -> None:
        """Close, and remove it unless it was renamed."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self.path.unlink(missing_ok=True)


def _own_folder(incoming: Path) -> tuple[Path, int]:
    """Make a folder of our own, locked as long as we live; sweep those whose lock is free: their owners are dead."""
    incoming.mkdir(exist_ok=True)
    everyone = os.open(incoming, os.O_RDONLY)
    try:
        fcntl.flock(everyone, fcntl.LOCK_EX)
        for other in incoming.iterdir():
            _sweep(other)
        own = incoming / uuid.uuid4().hex
        own.mkdir(mode=0o700)
        lock = os.open(own, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(everyone)
    return own, lock


def _sweep(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
