import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import skimage.data

from gallery.ports.blobs import BlobError, BlobMismatchError, BlobNotFoundError, BlobStoreFullError, StoredBlob
from gallery.ports.direct_uploads import DirectUpload, PiecesMissingError, SignedRequest
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


class FakeStore:
    """Takes what clients send to it, in pieces of 1,000 bytes, and makes objects of ``FakeBlobs`` of it."""

    def __init__(self, blobs: FakeBlobs) -> None:
        self.pieces: dict[str, dict[int, bytes]] = {}
        self.valid_for: list[timedelta] = []
        self.accepting = 0
        self.away = False
        self._blobs = blobs

    def receive(self, request: dict[str, Any], content: bytes) -> None:
        """Take a piece as a client sends it; what is signed has been checked by then."""
        staged, number = request["url"].split("#")
        assert request["headers"] == {"sha256": hashlib.sha256(content).hexdigest(), "size": str(len(content))}
        self.pieces[staged][int(number)] = content

    async def begin(self, *, size: int, sha256: bytes) -> DirectUpload:
        self._here()
        staged = uuid4().hex
        self.pieces[staged] = {}
        return DirectUpload(staged, "parts", size, sha256, piece_size=1000)

    def sign(self, upload: DirectUpload, number: int, *, sha256: bytes, valid_for: timedelta) -> SignedRequest:
        self.valid_for.append(valid_for)
        headers = {"sha256": sha256.hex(), "size": str(upload.size_of(number))}
        return SignedRequest("PUT", f"{upload.staged}#{number}", headers)

    async def sent(self, upload: DirectUpload) -> Sequence[int]:
        self._here()
        if upload.staged not in self.pieces:
            raise BlobNotFoundError(upload.staged)
        return sorted(self.pieces[upload.staged])

    async def accept(self, upload: DirectUpload, *, key: str) -> StoredBlob:
        self.accepting += 1
        if key not in self._blobs.objects:
            sent = set(await self.sent(upload))
            if missing := [number for number in range(1, upload.pieces + 1) if number not in sent]:
                raise PiecesMissingError(missing)
            content = b"".join(content for _, content in sorted(self.pieces[upload.staged].items()))
            if hashlib.sha256(content).digest() != upload.sha256:
                raise BlobMismatchError(key)
            self._blobs.objects[key] = content
        return StoredBlob(key, upload.size, upload.sha256)

    async def abandon(self, upload: DirectUpload) -> None:
        self._here()
        self.pieces.pop(upload.staged, None)

    def _here(self) -> None:
        if self.away:
            raise BlobError("503 SlowDown")


@pytest.fixture
def store(blobs: FakeBlobs) -> FakeStore:
    return FakeStore(blobs)


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
