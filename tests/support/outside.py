"""A bucket of somebody else, in memory."""

import hashlib
import io
from collections.abc import Callable
from typing import Any

from gallery.adapters.s3_bucket import S3RefusedError, S3ShutError
from gallery.ports.blobs import BlobNotFoundError


class MemoryBucket:
    """As much of `gallery.adapters.s3_bucket.S3Bucket` as reading takes.

    Attributes:
        objects: Content by key; to be changed by the owner at will.
        asked: Operations, in their order.
        keys: What they were about.
        fault: What comes instead of every answer.
        shut: Keys of which nothing is given out.
        closed: How often it was let go of.
    """

    def __init__(self, **objects: bytes) -> None:
        self.objects = dict(objects)
        self.asked: list[str] = []
        self.keys: list[str] = []
        self.fault: Exception | None = None
        self.shut: set[str] = set()
        self.closed = 0

    async def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self.ask_blocking(operation, **arguments)

    def ask_blocking(self, operation: str, **arguments: str) -> dict[str, Any]:
        self.asked.append(operation)
        self.keys.append(arguments["Key"])
        if self.fault is not None:
            raise self.fault
        if arguments["Key"] in self.shut:
            raise S3ShutError("refused", code="AccessDenied")
        if arguments["Key"] not in self.objects:
            raise BlobNotFoundError(arguments["Key"])
        content = self.objects[arguments["Key"]]
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if arguments.get("IfMatch", etag) != etag:
            raise S3RefusedError("refused", code="PreconditionFailed")
        if operation == "head_object":
            return {"ContentLength": len(content), "ETag": etag}
        assert operation == "get_object", f"nobody may {operation} in a bucket of others"
        first, _, last = arguments["Range"].removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1 if last else None]
        return {"Body": io.BytesIO(part), "ContentLength": len(part), "ETag": etag}

    async def run(self, work: Callable[[], Any]) -> Any:
        return work()

    def close(self) -> None:
        self.closed += 1
