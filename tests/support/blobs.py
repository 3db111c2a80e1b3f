"""Putting and reading blobs as stories tell it."""

import hashlib
from collections.abc import AsyncIterator

from gallery.ports.blobs import Blobs


async def pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def content_of(blobs: Blobs, key: str, *, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(key, start=start, length=length)])


async def keys_of(blobs: Blobs, prefix: str = "") -> list[str]:
    return [key async for key in blobs.keys(prefix)]


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
