"""Blobs in memory, for tests."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

from gallery.adapters.blob_keys import checked_key
from gallery.ports.blobs import BlobMismatchError, BlobNotFoundError, StoredBlob

_CHUNK = 256 << 10


class MemoryBlobs:
    """Keeps objects in a dictionary."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, sha256: bytes | None = None) -> StoredBlob:
        """Store an object; see `gallery.ports.blobs.Blobs.put`."""
        checked_key(key)
        content = b"".join([chunk async for chunk in chunks])
        digest = hashlib.sha256(content).digest()
        if sha256 is not None and sha256 != digest:
            raise BlobMismatchError(key)
        self._objects[key] = content
        return StoredBlob(key=key, size=len(content), sha256=digest)

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Stream an object; see `gallery.ports.blobs.Blobs.read`."""
        content = self._content(key)
        end = len(content) if length is None else min(len(content), start + length)
        for at in range(start, end, _CHUNK):
            yield content[at : min(at + _CHUNK, end)]

    async def room(self) -> int | None:
        """As much as there is memory, which nobody says."""
        return None

    async def stat(self, key: str) -> StoredBlob:
        """Say size and digest; see `gallery.ports.blobs.Blobs.stat`."""
        content = self._content(key)
        return StoredBlob(key=key, size=len(content), sha256=hashlib.sha256(content).digest())

    async def delete(self, key: str) -> None:
        """Forget an object."""
        self._objects.pop(checked_key(key), None)

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """List keys."""
        for key in tuple(self._objects):
            if key.startswith(prefix):
                yield key

    async def sweep(self, *, older_than: timedelta) -> int:  # noqa: ARG002
        """There is nothing to do: what is not whole was never kept."""
        return 0

    def _content(self, key: str) -> bytes:
        try:
            return self._objects[checked_key(key)]
        except KeyError:
            raise BlobNotFoundError(key) from None
