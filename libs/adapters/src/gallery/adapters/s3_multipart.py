"""Objects put together from parts: sent by us, or copied inside the store."""

import asyncio
import base64
import functools
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from gallery.adapters.s3_bucket import S3AwayError, S3Bucket, S3UploadOverError
from gallery.adapters.threads import to_its_end
from gallery.ports.blobs import BlobError, BlobNotFoundError


@asynccontextmanager
async def multipart(
    bucket: S3Bucket, key: str, *, metadata: Mapping[str, str], copied: bool = False
) -> AsyncIterator["Multipart"]:
    """Begin a multipart upload: the object appears whole when the block is left, and not at all when it fails.

    Args:
        bucket: Where to.
        key: Of the object.
        metadata: Of the object.
        copied: Its parts are copies, without checksums: versitygw takes that of a composed source for the part's, and
            then refuses it.

    Raises:
        BlobError: The store fails. The parts are removed, by `gallery.adapters.s3_staging.sweep_unfinished` if need be.
    """
    checksums = {} if copied else {"ChecksumAlgorithm": "SHA256"}
    begun = await bucket.ask("create_multipart_upload", Key=key, Metadata=metadata, **checksums)
    upload = Multipart(bucket, key, upload_id=begun["UploadId"], metadata=metadata)
    try:
        yield upload
        await upload.complete()
    except BaseException:
        await to_its_end(upload.abort())
        raise


class Multipart:
    """A multipart upload under way. One part is sent while the next one is gathered, so two are in memory.

    Attributes:
        etag: Of the object, once it is complete.
    """

    def __init__(self, bucket: S3Bucket, key: str, *, upload_id: str, metadata: Mapping[str, str]) -> None:
        self.etag = ""
        self._bucket = bucket
        self._key = key
        self._upload_id = upload_id
        self._metadata = metadata
        self._whole = hashlib.sha256()
        self._size = 0
        self._parts: list[dict[str, Any]] = []
        self._sending: asyncio.Task[dict[str, Any]] | None = None

    async def add(self, content: bytes) -> None:
        """Send one more part, at least 5 MiB unless it is the last one; returns once the part before it is sent."""
        await self._settle()
        self._size += len(content)
        self._sending = asyncio.create_task(self._bucket.run(functools.partial(self._send, content)))

    async def copy(self, source: str, *, start: int, end: int, etag: str) -> None:
        """Take one more part from an object of the same bucket."""
        answer = await self._bucket.ask(
            "upload_part_copy",
            Key=self._key,
            UploadId=self._upload_id,
            PartNumber=len(self._parts) + 1,
            CopySource={"Bucket": self._bucket.name, "Key": source},
            CopySourceRange=f"bytes={start}-{end - 1}",
            CopySourceIfMatch=etag,
        )
        self._size += end - start
        self._note(answer["CopyPartResult"])

    async def sent(self) -> tuple[bytes, int]:
        """Return sha256 and size of all that was added, once it is sent."""
        await self._settle()
        return self._whole.digest(), self._size

    async def complete(self) -> None:
        """Make the object of the parts, and see that it is there.

        No answer is proof. Asked again after a lost one, some stores know the upload no more; and versitygw, killed
        while it put the parts together, says of them for ever after that they are complete.

        Raises:
            S3AwayError: It is not there, or another one is, put at the same time.
        """
        await self._settle()
        with suppress(S3UploadOverError):
            await self._bucket.ask(
                "complete_multipart_upload",
                Key=self._key,
                UploadId=self._upload_id,
                MultipartUpload={"Parts": self._parts},
            )
        with suppress(BlobNotFoundError):
            found = await self._bucket.ask("head_object", Key=self._key)
            if found["ContentLength"] == self._size and found["Metadata"] == self._metadata:
                self.etag = found["ETag"]
                return
        raise S3AwayError(f"the parts of {self._key} were lost, put it again")

    async def abort(self) -> None:
        """Forget the parts, once none is on its way any more."""
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)
        with suppress(BlobError):
            await self._bucket.abandon(self._key, self._upload_id)

    async def _settle(self) -> None:
        if self._sending is not None:
            self._note(await self._sending)
            self._sending = None

    def _send(self, content: bytes) -> dict[str, Any]:
        """Hash and send a part, in a thread; parts come one after the other."""
        part = hashlib.sha256(content)
        if self._parts:
            self._whole.update(content)
        else:
            self._whole = part.copy()
        return self._bucket.ask_blocking(
            "upload_part",
            Key=self._key,
            UploadId=self._upload_id,
            PartNumber=len(self._parts) + 1,
            Body=content,
            ChecksumSHA256=base64.b64encode(part.digest()).decode(),
        )

    def _note(self, answer: Mapping[str, Any]) -> None:
        said = {name: answer[name] for name in ("ETag", "ChecksumSHA256") if name in answer}
        self._parts.append({"PartNumber": len(self._parts) + 1, **said})
