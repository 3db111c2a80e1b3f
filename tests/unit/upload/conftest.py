import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import skimage.data

from gallery.ports.blobs import BlobError, BlobMismatchError, BlobNotFoundError, BlobStoreFullError, StoredBlob
from gallery.runtime import partitions
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate


class FakeBlobs:
    """A folder in memory that can be told to be full or away, and to have an object spoiled."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.full = False
        self.away = False

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, sha256: bytes | None = None) -> StoredBlob:
        data = b"".join([chunk async for chunk in chunks])
        if self.away:
            raise BlobError("expired credentials")
        if self.full:
            raise BlobStoreFullError("no room")
        stored = StoredBlob(key, len(data), hashlib.sha256(data).digest())
        if sha256 not in {None, stored.sha256}:
            raise BlobMismatchError("other bytes")
        self.objects[key] = data
        return stored

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if key not in self.objects:
            raise BlobNotFoundError(key)
        data = self.objects[key][start:]
        yield data if length is None else data[:length]

    async def stat(self, key: str) -> StoredBlob:
        if key not in self.objects:
            raise BlobNotFoundError(key)
        data = self.objects[key]
        return StoredBlob(key, len(data), hashlib.sha256(data).digest())

    async def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        for key in list(self.objects):
            if key.startswith(prefix):
                yield key


@pytest.fixture
def blobs() -> FakeBlobs:
    return FakeBlobs()


@pytest.fixture
def library() -> UUID:
    return uuid4()


@pytest.fixture
def photo() -> bytes:
    return (Path(skimage.data.__file__).parent / "rocket.jpg").read_bytes()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, schema="upload", packages=["gallery.upload"])
    async with Database.open(database_url, schema="upload") as opened:
        await partitions.renew(opened)
        yield opened
