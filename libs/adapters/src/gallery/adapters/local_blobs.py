"""Blobs in a local folder, safe against power cuts.

An object is a plain file under ``objects``, named by its key, so that a user finds photos as photos. Its digest is a
file beside it, ``NAME=sha256`` (``=`` is in no key). A put writes both to ``incoming`` in the same file system, fsyncs
them, renames first the digest and then the object into place, and fsyncs the folder: when a put returns, both are
durable. A crash in between leaves a digest without an object, which nobody reads and the next put overwrites. While an
object is replaced by another one, the digest file holds both digests, and a reader that finds two looks at the content.
"""

import errno
import fcntl
import functools
import hashlib
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from gallery.adapters.blob_keys import checked_key
from gallery.adapters.local_incoming import Incoming, Unfinished
from gallery.adapters.threads import in_thread
from gallery.ports.blobs import BlobError, BlobMismatchError, BlobNotFoundError, BlobStoreFullError, StoredBlob

Result = TypeVar("Result")

_DIGEST = "=sha256"
_READ = 1 << 20
# A hop to a thread costs as much as hashing 100 KB: gather what comes in small pieces.
_WRITE = 1 << 20
_LISTED = 1000
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalBlobs:
    """A store of immutable objects below one folder.

    Several processes may share it. What a dead process left half written is swept when the next one starts. A key
    cannot be an object and the folder of others at once.

    Args:
        root: Made if it is not there.
        keep_free: Bytes of the disk that are left to others, such as the database; a single large object may take
            some of them.

    Raises:
        OSError: The folder cannot be made or written.
    """

    def __init__(self, root: Path, *, keep_free: int = 0) -> None:
        self._keep_free = keep_free
        self._objects = root / "objects"
        self._objects.mkdir(parents=True, exist_ok=True)
        self._incoming = Incoming(root / "incoming")
        # Folders whose entry in their parent is on disk.
        self._durable: set[Path] = {self._objects}
        _sync(root)

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, sha256: bytes | None = None) -> StoredBlob:
        """Store an object; see `gallery.ports.blobs.Blobs.put`.

        A 3 MB object takes about 5 ms of CPU time, of which hashing is half.
        """
        final = self._path(key)
        writing = self._incoming.file()
        try:
            await _storing(key, functools.partial(self._begin, key, writing))
            async for batch in _batched(chunks):
                await _storing(key, functools.partial(writing.write, batch))
            return await _storing(key, functools.partial(self._commit, key, writing, final, sha256))
        finally:
            await in_thread(writing.discard)

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Stream an object in pieces of 256 KiB; see `gallery.ports.blobs.Blobs.read`."""
        path = self._path(key)
        fd = await in_thread(functools.partial(_open, path, key))
        try:
            end = None if length is None else start + length
            while chunk := await in_thread(functools.partial(_piece, fd, start, end)):
                yield chunk
                start += len(chunk)
        finally:
            os.close(fd)

    async def room(self) -> int | None:
        """Bytes that may still be stored; see `gallery.ports.blobs.Blobs.room`."""
        return await in_thread(self._room)

    async def stat(self, key: str) -> StoredBlob:
        """Say size and digest; see `gallery.ports.blobs.Blobs.stat`.

        Raises:
            BlobError: The digest is damaged or gone, which only happens from outside.
        """
        path = self._path(key)
        return await in_thread(functools.partial(_stat, path, key))

    async def delete(self, key: str) -> None:
        """Remove an object and its digest, durably."""
        path = self._path(key)
        await in_thread(functools.partial(_delete, path))

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """List keys under a prefix, which may end inside a segment."""
        found = self._walk(prefix)
        while batch := await in_thread(lambda: list(itertools.islice(found, _LISTED))):
            for key in batch:
                yield key

    async def sweep(self, *, older_than: timedelta) -> int:  # noqa: ARG002
        """There is nothing to do: what dead processes left goes when the next one opens the store."""
        return 0

    def _path(self, key: str) -> Path:
        return self._objects / checked_key(key)

    def _room(self) -> int:
        return max(0, shutil.disk_usage(self._objects).free - self._keep_free)

    def _begin(self, key: str, writing: Unfinished) -> None:
        if not self._room():
            raise BlobStoreFullError(key)
        writing.open()

    def _commit(self, key: str, writing: Unfinished, final: Path, sha256: bytes | None) -> StoredBlob:
        digest, size = writing.finish()
        if sha256 is not None and sha256 != digest:
            raise BlobMismatchError(key)
        self._make_folder(final.parent)
        with self._note(digest) as note, _locked(final.parent):
            self._place(writing.path, final, note, digest)
        _sync(final.parent)
        return StoredBlob(key=key, size=size, sha256=digest)

    def _place(self, content: Path, final: Path, note: Path, digest: bytes) -> None:
        """Rename digest and content into place; nobody else does so in this folder meanwhile."""
        earlier = _digests(final) if final.exists() else []
        if earlier in ([], [digest]):
            note.rename(_digest_of(final))
            content.rename(final)
            return
        with self._note(*earlier, digest) as both:
            both.rename(_digest_of(final))
        _sync(final.parent)
        content.rename(final)
        _sync(final.parent)
        note.rename(_digest_of(final))

    @contextmanager
    def _note(self, *digests: bytes) -> Iterator[Path]:
        """Write a digest file to be renamed into place."""
        note = self._incoming.file()
        try:
            note.open()
            note.write(["".join(f"{digest.hex()}\n" for digest in digests).encode()])
            note.finish()
            yield note.path
        finally:
            note.discard()

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and put its name on disk, and so for those above it."""
        if folder not in self._durable:
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            _sync(folder.parent)
            self._durable.add(folder)

    def _walk(self, prefix: str) -> Iterator[str]:
        top = self._objects / Path(prefix + "x").parent
        if ".." in prefix.split("/") or prefix.startswith("/"):
            return
        for folder, _, names in os.walk(top):
            within = os.path.relpath(folder, self._objects)
            for name in names:
                key = name if within == "." else f"{within}/{name}"
                if not name.endswith(_DIGEST) and key.startswith(prefix):
                    yield key


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other threads and processes from placing objects in a folder."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


async def _storing(key: str, work: Callable[[], Result]) -> Result:
    """Run a step of a put; what the file system says becomes what the port says."""
    try:
        return await in_thread(work)
    except OSError as error:
        if error.errno in _FULL:
            raise BlobStoreFullError(key) from error
        raise BlobError(f"{key} cannot be stored: {error.strerror}") from error


async def _batched(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    async for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= _WRITE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _open(path: Path, key: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise BlobNotFoundError(key) from None
    if path.is_dir():
        os.close(fd)
        raise BlobNotFoundError(key)
    return fd


def _piece(fd: int, start: int, end: int | None) -> bytes:
    return os.pread(fd, _READ if end is None else min(_READ, end - start), start)


def _stat(path: Path, key: str) -> StoredBlob:
    fd = _open(path, key)
    try:
        size = os.fstat(fd).st_size
        digests = _digests(path)
        if len(digests) != 1:
            actual = _hash(fd)
            if actual not in digests:
                raise BlobError(f"the digest of {key} is damaged or gone")
            digests = [actual]
        return StoredBlob(key=key, size=size, sha256=digests[0])
    finally:
        os.close(fd)


def _hash(fd: int) -> bytes:
    digest = hashlib.sha256()
    at = 0
    while chunk := _piece(fd, at, None):
        digest.update(chunk)
        at += len(chunk)
    return digest.digest()


def _digests(path: Path) -> list[bytes]:
    """Those recorded for an object: one, or two while it is being replaced; none when the file is gone or damaged."""
    try:
        return [bytes.fromhex(line) for line in _digest_of(path).read_text(encoding="ascii").split()]
    except (FileNotFoundError, ValueError):
        return []


def _digest_of(path: Path) -> Path:
    return path.with_name(path.name + _DIGEST)


def _delete(path: Path) -> None:
    if path.is_file():
        path.unlink()
        _digest_of(path).unlink(missing_ok=True)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
