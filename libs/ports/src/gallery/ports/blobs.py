"""Where bytes live: originals and everything derived from them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

LATEST_WRITE = timedelta(minutes=10)
"""A write whose writer died or gave up may still come true for so long: a store goes on with what it was sent."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What a store says of one object.

    Attributes:
        key: Path-like name, segments of ASCII letters, digits, ``-``, ``_`` and ``.`` joined by ``/``.
        size: Bytes.
        sha256: Digest of the content, 32 bytes.
    """

    key: str
    size: int
    sha256: bytes


class BlobError(Exception):
    """Any failure of a blob store."""


class BlobNotFoundError(BlobError):
    """There is no object of this key."""


class BlobMismatchError(BlobError):
    """The bytes are not those that the caller's sha256 announced; nothing was stored."""


class BlobChangedError(BlobError):
    """It is another than when it was taken in. Only what lies elsewhere can change (`gallery.ports.elsewhere`)."""


class BlobStoreFullError(BlobError):
    """The store has no room left; nothing was stored. Retry once there is."""


class BlobStoreUnavailableError(BlobError):
    """The store as a whole is of no use now: away, gone, or it does not let us in. Retry once it is mended."""


class Blobs(Protocol):
    """A store of immutable objects. A put that returned survives a power cut."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, sha256: bytes | None = None) -> StoredBlob:
        """Store an object whole or not at all, hashing on the way.

        Raises:
            BlobMismatchError: ``sha256`` was given and is another.
            BlobStoreFullError: No room.
        """
        ...

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Stream an object, or ``length`` bytes of it from ``start``.

        Raises:
            BlobNotFoundError: On the first step of the iteration.
            BlobChangedError: On any step.
        """
        ...

    async def room(self) -> int | None:
        """Bytes that may still be stored; None when the store does not say. At 0 every put is refused."""
        ...

    async def stat(self, key: str) -> StoredBlob:
        """Say size and digest, the digest as recorded at the put.

        Raises:
            BlobNotFoundError: There is none.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine."""
        ...

    async def sweep(self, *, older_than: timedelta) -> int:
        """Remove what writers left half done that long ago, which nobody can read; returns how much there was."""
        ...

    def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """List keys under a prefix, in any order."""
        ...
