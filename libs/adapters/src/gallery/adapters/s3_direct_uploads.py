"""Uploads that clients send to the bucket themselves.

What is sent goes to a staging key. Length and sha256 of every request are signed, since a store may keep a body that
was cut off. A single piece is so checked by the store; an upload in parts, whose whole nobody has seen yet, is read
again. Only then it is copied to its key.
"""

import base64
import functools
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from gallery.adapters.blob_keys import checked_key
from gallery.adapters.s3_blobs import S3Blobs
from gallery.adapters.s3_bucket import S3Bucket, S3UploadOverError
from gallery.adapters.s3_reading import S3Reading
from gallery.adapters.s3_staging import publish, staging_key
from gallery.ports.blobs import BlobMismatchError, BlobNotFoundError, StoredBlob
from gallery.ports.direct_uploads import DirectUpload, PiecesMissingError, SignedRequest

# A client whose connection breaks sends a single piece from its beginning.
_LARGEST_PIECE = 100_000_000
# What a client holds in memory, and sends again; S3 wants 5 MiB at least.
_PART = 16 << 20
# S3 allows no more.
_MOST_PARTS = 10_000
_OF_A_PART = ("PartNumber", "ETag", "ChecksumSHA256")


class S3DirectUploads:
    """Signs uploads for clients; what they leave unfinished is swept with `S3Blobs.sweep`."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket
        self._blobs = S3Blobs(bucket)

    async def begin(self, *, size: int, sha256: bytes) -> DirectUpload:
        """Make room for an upload, in parts above 100 MB; see `gallery.ports.direct_uploads.DirectUploads.begin`."""
        if size < 1:
            raise ValueError("nothing is to be uploaded")
        staged = staging_key()
        if size <= _LARGEST_PIECE:
            return DirectUpload(staged=staged, parts_id=None, size=size, sha256=sha256, piece_size=size)
        begun = await self._bucket.ask("create_multipart_upload", Key=staged, ChecksumAlgorithm="SHA256")
        parts_id, part = begun["UploadId"], max(_PART, -(-size // _MOST_PARTS))
        return DirectUpload(staged=staged, parts_id=parts_id, size=size, sha256=sha256, piece_size=part)

    def sign(self, upload: DirectUpload, number: int, *, sha256: bytes, valid_for: timedelta) -> SignedRequest:
        """Allow a client to send a piece; see `gallery.ports.direct_uploads.DirectUploads.sign`.

        A single piece can be sent once, until it is abandoned; sent again after that, it is swept.
        """
        size, checksum = upload.size_of(number), _said(sha256)
        headers = {"Content-Length": str(size), "x-amz-checksum-sha256": checksum}
        arguments: dict[str, Any] = {"Key": upload.staged, "ContentLength": size, "ChecksumSHA256": checksum}
        if upload.parts_id is not None:
            arguments |= {"UploadId": upload.parts_id, "PartNumber": number}
            return SignedRequest("PUT", self._bucket.sign("upload_part", valid_for=valid_for, **arguments), headers)
        if sha256 != upload.sha256:
            raise ValueError("the upload is one piece, and this is another one")
        url = self._bucket.sign("put_object", valid_for=valid_for, IfNoneMatch="*", **arguments)
        return SignedRequest("PUT", url, {**headers, "If-None-Match": "*"})

    async def sent(self, upload: DirectUpload) -> Sequence[int]:
        """Return which pieces are there; see `gallery.ports.direct_uploads.DirectUploads.sent`."""
        if upload.parts_id is not None and (parts := await self._parts(upload, upload.parts_id)) is not None:
            return [part["PartNumber"] for part in parts]
        try:
            await self._bucket.ask("head_object", Key=upload.staged)
        except BlobNotFoundError:
            if upload.parts_id is not None:
                raise
            return []
        return range(1, upload.pieces + 1)

    async def accept(self, upload: DirectUpload, *, key: str) -> StoredBlob:
        """Check what was sent and make it a blob; see `gallery.ports.direct_uploads.DirectUploads.accept`."""
        stored = StoredBlob(key=checked_key(key), size=upload.size, sha256=upload.sha256)
        with suppress(BlobNotFoundError):
            if await self._blobs.stat(key) == stored:
                return stored
        if upload.parts_id is not None:
            await self._compose(upload, upload.parts_id)
        try:
            staged = await self._bucket.ask("head_object", Key=upload.staged, ChecksumMode="ENABLED")
        except BlobNotFoundError:
            if upload.parts_id is None:
                raise PiecesMissingError([1]) from None
            raise
        await self._check(upload, staged)
        await publish(self._bucket, upload.staged, key, etag=staged["ETag"], size=upload.size, sha256=upload.sha256)
        return stored

    async def abandon(self, upload: DirectUpload) -> None:
        """Remove what was sent; where there is nothing it is fine."""
        if upload.parts_id is not None:
            await self._bucket.abandon(upload.staged, upload.parts_id)
        await self._bucket.remove(upload.staged)

    async def _compose(self, upload: DirectUpload, parts_id: str) -> None:
        """Put the parts together, if an earlier attempt has not."""
        parts = await self._parts(upload, parts_id)
        if parts is None:
            return
        there = {part["PartNumber"] for part in parts}
        if missing := [number for number in range(1, upload.pieces + 1) if number not in there]:
            raise PiecesMissingError(missing)
        said = [{name: part[name] for name in _OF_A_PART if name in part} for part in parts]
        with suppress(S3UploadOverError):
            await self._bucket.ask(
                "complete_multipart_upload", Key=upload.staged, UploadId=parts_id, MultipartUpload={"Parts": said}
            )

    async def _parts(self, upload: DirectUpload, parts_id: str) -> list[dict[str, Any]] | None:
        """Return the parts that the store has; None when it knows of no such upload any more."""
        parts: list[dict[str, Any]] = []
        with suppress(S3UploadOverError):
            async for page in self._bucket.pages("list_parts", Key=upload.staged, UploadId=parts_id):
                parts += page.get("Parts", ())
            return parts
        return None

    async def _check(self, upload: DirectUpload, staged: dict[str, Any]) -> None:
        """See that the bytes are those that were announced; what is not is removed."""
        if staged.get("ChecksumSHA256") == _said(upload.sha256):
            return
        digest = hashlib.sha256()
        async for piece in S3Reading(self._bucket, upload.staged).pieces():
            await self._bucket.run(functools.partial(digest.update, piece))
        if (staged["ContentLength"], digest.digest()) != (upload.size, upload.sha256):
            await self._bucket.remove(upload.staged)
            raise BlobMismatchError(upload.staged)


def _said(sha256: bytes) -> str:
    return base64.b64encode(sha256).decode()
