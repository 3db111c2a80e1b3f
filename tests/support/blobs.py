"""Putting and reading blobs as stories tell it."""

import hashlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from gallery.ports.blobs import Blobs

if TYPE_CHECKING:  # most who ask for bytes here do without S3's client
    from gallery.adapters.s3_bucket import S3Bucket


async def pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def content_of(blobs: Blobs, key: str, *, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(key, start=start, length=length)])


async def keys_of(blobs: Blobs, prefix: str = "") -> list[str]:
    return [key async for key in blobs.keys(prefix)]


async def everything_in(bucket: "S3Bucket") -> list[str]:
    """Return every key, and every upload that was begun."""
    found = []
    async for page in bucket.pages("list_objects_v2"):
        found += [entry["Key"] for entry in page.get("Contents", ())]
    async for page in bucket.pages("list_multipart_uploads"):
        found += [f"parts of {entry['Key']}" for entry in page.get("Uploads", ())]
    return found


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
