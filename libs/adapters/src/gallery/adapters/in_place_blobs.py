"""Blobs of which some lie elsewhere: a reference is a small object in our store that says where, and which version.

Whoever reads a blob gets its bytes, wherever they lie, or learns that they are not what they were. Nothing here can
write to, or delete from, a bucket that is not ours: removing a blob removes the reference.
"""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, closing, contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from gallery.adapters.in_place_rules import AllowedPlaces, Place
from gallery.ports.blobs import BlobChangedError, BlobError, BlobNotFoundError, Blobs, StoredBlob
from gallery.ports.elsewhere import REFERENCE, Outside, PlaceAwayError, PlaceUnreadableError, ReferenceDamagedError

if TYPE_CHECKING:
    from gallery.adapters.s3_bucket import S3Bucket

OpenBucket = Callable[[str], "S3Bucket"]
"""Opens the connections to a bucket by its name."""

CHANGED = frozenset({"PreconditionFailed", "412"})
"""S3's words for another version than the one asked for."""

NO_BUCKET = "NoSuchBucket"

AWAY = "the store of originals elsewhere does not answer"
LEFT_ALONE = timedelta(seconds=15)
"""A bucket that did not answer is not asked again before that: each question costs half a minute of somebody's turn."""


class InPlaceBlobs:
    """A store of blobs, some of which are references. Close it at the end.

    Args:
        blobs: Where references, and all that is copied, are kept.
        allowed: What may be referred to. What was referred to before goes on being read.
        open_bucket: For reading.
    """

    def __init__(self, blobs: Blobs, *, allowed: AllowedPlaces, open_bucket: OpenBucket) -> None:
        self._blobs = blobs
        self._allowed = allowed
        self._open_bucket = open_bucket
        self._buckets: dict[str, S3Bucket] = {}
        self._away_until: dict[str, float] = {}  # by the clock of time.monotonic
        self._opened = ExitStack()

    def close(self) -> None:
        """Let go of the connections."""
        self._opened.close()

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, sha256: bytes | None = None) -> StoredBlob:
        """Store an object of ours; see `gallery.ports.blobs.Blobs.put`."""
        return await self._blobs.put(key, chunks, sha256=sha256)

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Stream an object, wherever it lies; see `gallery.ports.blobs.Blobs.read`."""
        if key.endswith(REFERENCE):
            return self._read_referred(key, start=start, length=length)
        return self._blobs.read(key, start=start, length=length)

    async def room(self) -> int | None:
        """Bytes that may still be stored; see `gallery.ports.blobs.Blobs.room`."""
        return await self._blobs.room()

    async def stat(self, key: str) -> StoredBlob:
        """Say size and digest, as they were when it was taken in; see `gallery.ports.blobs.Blobs.stat`."""
        if not key.endswith(REFERENCE):
            return await self._blobs.stat(key)
        outside, sha256 = await self._reference(key)
        return StoredBlob(key, outside.size, sha256)

    async def delete(self, key: str) -> None:
        """Remove an object of ours; what a reference stands for stays."""
        await self._blobs.delete(key)

    async def sweep(self, *, older_than: timedelta) -> int:
        """Remove what writers left half done; see `gallery.ports.blobs.Blobs.sweep`."""
        return await self._blobs.sweep(older_than=older_than)

    def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """List keys under a prefix, references included."""
        return self._blobs.keys(prefix)

    async def look(self, library_id: UUID, place: str) -> Outside:
        """Find an object that a library may refer to; see `gallery.ports.elsewhere.Elsewhere.look`."""
        self._allowed.check(library_id, place)
        return await self._look(place)

    def read_outside(self, outside: Outside) -> AsyncGenerator[bytes, None]:
        """Stream an object as it was looked at; see `gallery.ports.elsewhere.Elsewhere.read_outside`."""
        return self._pieces(outside, start=0, end=outside.size)

    async def refer(self, key: str, outside: Outside, *, sha256: bytes) -> None:
        """Have a blob stand for it; see `gallery.ports.elsewhere.Elsewhere.refer`."""
        content = json.dumps({**asdict(outside), "sha256": sha256.hex()}).encode()

        async def once() -> AsyncIterator[bytes]:
            yield content

        await self._blobs.put(key, once())

    async def stands(self, key: str) -> bool:
        """Whether a reference is whole, and what it stands for is there, as it was; see the port."""
        try:
            referred, _ = await self._reference(key)
            return await self._look(referred.place) == referred
        except PlaceAwayError:
            raise
        except (BlobNotFoundError, ReferenceDamagedError, PlaceUnreadableError):
            return False

    async def _read_referred(self, key: str, *, start: int, length: int | None) -> AsyncGenerator[bytes, None]:
        outside, _ = await self._reference(key)
        end = outside.size if length is None else min(outside.size, start + length)
        async with aclosing(self._pieces(outside, start=start, end=end)) as pieces:
            async for piece in pieces:
                yield piece

    async def _reference(self, key: str) -> tuple[Outside, bytes]:
        content = b"".join([chunk async for chunk in self._blobs.read(key)])
        try:
            said = json.loads(content)
            return Outside(said["place"], said["size"], said["version"]), bytes.fromhex(said["sha256"])
        except (ValueError, KeyError, TypeError) as error:
            raise ReferenceDamagedError(f"the reference {key} is damaged") from error

    async def _look(self, place: str) -> Outside:
        at = Place.parse(place)
        with self._of_others(at):
            found = await self._bucket(at.bucket).ask("head_object", Key=at.key)
        return Outside(place, found["ContentLength"], found["ETag"])

    async def _pieces(self, outside: Outside, *, start: int, end: int) -> AsyncGenerator[bytes, None]:
        from gallery.adapters.s3_reading import S3Reading

        at = Place.parse(outside.place)
        with self._of_others(at):
            reading = S3Reading(self._bucket(at.bucket), at.key, start=start, end=end, etag=outside.version)
            async with aclosing(reading.pieces()) as pieces:
                async for piece in pieces:
                    start += len(piece)
                    yield piece
        if start < end:
            raise BlobChangedError("an original elsewhere is shorter than it was")

    def _bucket(self, name: str) -> "S3Bucket":
        if name not in self._buckets:
            self._buckets[name] = self._opened.enter_context(closing(self._open_bucket(name)))
        return self._buckets[name]

    @contextmanager
    def _of_others(self, at: Place) -> Iterator[None]:
        """Say what a store of others says without the names that they gave to things: those are in none of our logs."""
        from gallery.adapters.s3_bucket import S3AwayError, S3RefusedError

        if time.monotonic() < self._away_until.get(at.bucket, 0):
            raise PlaceAwayError(AWAY)
        try:
            yield
        except BlobNotFoundError:
            raise BlobNotFoundError("an original elsewhere is not there any more") from None
        except S3RefusedError as error:
            if error.code in CHANGED:
                raise BlobChangedError("an original elsewhere is another than it was") from None
            if error.code == NO_BUCKET:
                raise BlobNotFoundError("the bucket of an original elsewhere is not there any more") from None
            raise PlaceUnreadableError(f"the bucket does not let this gallery read it ({error.code})") from None
        except S3AwayError:
            self._away_until[at.bucket] = time.monotonic() + LEFT_ALONE.total_seconds()
            raise PlaceAwayError(AWAY) from None
        except BlobError:
            raise PlaceUnreadableError("the bucket cannot be asked for it") from None
