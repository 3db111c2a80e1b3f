"""Blobs in an S3 bucket.

An object lies under its key, with its sha256 as user metadata. What is smaller than a part is put by one request,
anything else in parts, each with a signed checksum: without it a store may keep a body that was cut off (versitygw
does). Metadata is said before the first part, so a large object whose digest nobody announced is staged first and
copied to its key inside the store.
"""

import base64
import functools
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import timedelta

from gallery.adapters.blob_keys import checked_key
from gallery.adapters.s3_bucket import S3Bucket
from gallery.adapters.s3_multipart import Multipart, multipart
from gallery.adapters.s3_reading import S3Reading
from gallery.adapters.s3_staging import STAGING, publish, recorded, staging_key, sweep_unfinished
from gallery.adapters.threads import to_its_end
from gallery.ports.blobs import BlobError, BlobMismatchError, StoredBlob

# S3 wants 5 MiB at least and 10,000 parts at most: objects up to 78 GiB, with two parts in memory.
_PART = 8 << 20


class S3Blobs:
    """A store of immutable objects in a bucket that others may use at the same time.

    What a dead process left half sent is no object; `sweep` removes it. Some
    stores cannot have a key that is an object and the folder of others at once.

    Args:
        bucket: It exists. `gallery.adapters.s3_probe.probe` says whether its store can do what is needed.
    """

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, sha256: bytes | None = None) -> StoredBlob:
        """Store an object; see `gallery.ports.blobs.Blobs.put`.

        Raises:
            BlobError: The store fails. If only its answer got lost, the object is there nonetheless, whole. Of several
                large puts of one key at the same time, those that are overtaken fail.
        """
        checked_key(key)
        first = await _gathered(chunks)
        if len(first) < _PART:
            return await self._bucket.run(functools.partial(self._put_small, key, first, sha256))
        if sha256 is None:
            return await self._put_staged(key, first, chunks)
        async with multipart(self._bucket, key, metadata=recorded(sha256)) as upload:
            stored = await _sent(upload, key, first, chunks)
            if stored.sha256 != sha256:
                raise BlobMismatchError(key)
        return stored

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Stream an object in pieces of 256 KiB; see `gallery.ports.blobs.Blobs.read`.

        A connection that breaks is opened anew where it broke.

        Raises:
            BlobError: The store fails, or the object was replaced meanwhile.
        """
        checked_key(key)
        if length == 0:
            await self._bucket.ask("head_object", Key=key)
            return
        reading = S3Reading(self._bucket, key, start=start, end=None if length is None else start + length)
        async with aclosing(reading.pieces()) as pieces:
            async for piece in pieces:
                yield piece

    async def room(self) -> int | None:
        """A bucket does not say."""
        return None

    async def stat(self, key: str) -> StoredBlob:
        """Say size and digest; see `gallery.ports.blobs.Blobs.stat`.

        Raises:
            BlobError: It carries no digest: something else than this product has put it.
        """
        found = await self._bucket.ask("head_object", Key=checked_key(key))
        try:
            digest = bytes.fromhex(found["Metadata"]["sha256"])
        except (KeyError, ValueError):
            raise BlobError(f"the digest of {key} is damaged or gone") from None
        return StoredBlob(key=key, size=found["ContentLength"], sha256=digest)

    async def delete(self, key: str) -> None:
        """Remove an object, with all its versions where the bucket keeps such."""
        await self._bucket.remove(checked_key(key))

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """List keys under a prefix, which may end inside a segment."""
        async for page in self._bucket.pages("list_objects_v2", Prefix=prefix):
            for found in page.get("Contents", ()):
                if not found["Key"].startswith(STAGING):
                    yield found["Key"]

    async def sweep(self, *, older_than: timedelta) -> int:
        """Remove what was begun in parts, or staged, and never ended."""
        return await sweep_unfinished(self._bucket, older_than=older_than)

    def _put_small(self, key: str, content: bytes, sha256: bytes | None) -> StoredBlob:
        """Put an object by one request, in a thread."""
        digest = hashlib.sha256(content).digest()
        if sha256 not in (None, digest):
            raise BlobMismatchError(key)
        self._bucket.ask_blocking(
            "put_object",
            Key=key,
            Body=content,
            ChecksumSHA256=base64.b64encode(digest).decode(),
            Metadata=recorded(digest),
        )
        return StoredBlob(key=key, size=len(content), sha256=digest)

    async def _put_staged(self, key: str, first: bytes, chunks: AsyncIterator[bytes]) -> StoredBlob:
        staged = staging_key()
        try:
            async with multipart(self._bucket, staged, metadata={}) as upload:
                stored = await _sent(upload, key, first, chunks)
            await publish(self._bucket, staged, key, etag=upload.etag, size=stored.size, sha256=stored.sha256)
        finally:
            with suppress(BlobError):  # it is swept later
                await to_its_end(self._bucket.remove(staged))
        return stored


async def _gathered(chunks: AsyncIterator[bytes]) -> bytes:
    """Return enough for a part; less means that it was the last."""
    gathered: list[bytes] = []
    size = 0
    async for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= _PART:
            break
    return b"".join(gathered)


async def _sent(upload: Multipart, key: str, first: bytes, chunks: AsyncIterator[bytes]) -> StoredBlob:
    content = first
    while content:
        await upload.add(content)
        content = await _gathered(chunks)
    digest, size = await upload.sent()
    return StoredBlob(key=key, size=size, sha256=digest)
