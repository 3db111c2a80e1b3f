"""Objects read from S3; a connection that breaks is opened anew where it broke."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from gallery.adapters.s3_bucket import S3AwayError, S3Bucket, S3RefusedError, said_by_s3
from gallery.runtime.retry import RetryPolicy

# What a connection that breaks takes with it.
_READ = 256 << 10
# A broken answer is asked for anew, so often without a byte between; the 1.5 s are beside botocore's own attempts.
_ATTEMPTS = 5
_PAUSES = RetryPolicy()


class S3Reading:
    """Bytes of one object.

    Args:
        bucket: Where it is.
        key: Of the object.
        start: Where to begin.
        end: Before which to end; by default the object's.
        etag: What it must be; by default what it is at the first byte.
    """

    def __init__(
        self, bucket: S3Bucket, key: str, *, start: int = 0, end: int | None = None, etag: str | None = None
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._at = start
        self._end = end
        self._same = {} if etag is None else {"IfMatch": etag}
        self._headers_known = False
        self._answer: dict[str, Any] | None = None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Stream them.

        Raises:
            BlobNotFoundError: There is no such object.
            BlobError: The store fails, or the object was replaced meanwhile.
        """
        try:
            while piece := await self._piece():
                yield piece
        finally:
            self._close()

    async def _piece(self) -> bytes:
        """Return what comes next, nothing at the end."""
        attempt = 0
        while self._end is None or self._at < self._end:
            try:
                return await self._bucket.run(self._next)
            except S3AwayError:
                self._close()
                attempt += 1
                if attempt == _ATTEMPTS:
                    raise
            await asyncio.sleep(_PAUSES.pause(attempt).total_seconds())
        return b""

    def _close(self) -> None:
        """Let go of the connection."""
        if self._answer is not None:
            self._answer["Body"].close()
            self._answer = None

    def _next(self) -> bytes:
        self._answer = self._answer or self._open()
        if self._answer is None:
            return b""
        with said_by_s3(self._key):
            piece: bytes = self._answer["Body"].read(_READ)
        if piece and not self._headers_known:  # they came whole, then
            self._headers_known = True
            self._same = {"IfMatch": self._answer["ETag"]}
            self._end = self._at + self._answer["ContentLength"]
        self._at += len(piece)
        return piece

    def _open(self) -> dict[str, Any] | None:
        """Ask for the bytes; None where the object ends before them."""
        last = "" if self._end is None else self._end - 1
        try:
            return self._bucket.ask_blocking(
                "get_object", Key=self._key, Range=f"bytes={self._at}-{last}", **self._same
            )
        except S3RefusedError as error:
            if error.code == "InvalidRange":
                return None
            raise
