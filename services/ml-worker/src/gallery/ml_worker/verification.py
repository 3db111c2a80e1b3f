"""Checking every rendition against its digest and its row, in both directions."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from gallery.ml_worker.analysis import PREFIX
from gallery.ml_worker.domain import Rendition
from gallery.ml_worker.store import PhotoStore
from gallery.ports.blobs import BlobNotFoundError, Blobs

KEYS_AT_ONCE = 1000
"""Keys asked about in one statement."""

Kind = Literal["missing", "damaged", "orphan"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; an orphan belongs to no photo."""

    kind: Kind
    key: str
    photo_id: UUID | None = None


async def verify(library_id: UUID, *, blobs: Blobs, photos: PhotoStore) -> tuple[int, list[Finding]]:
    """Read every rendition of a library and compare; returns how many there are, and what was found."""
    findings = [finding async for finding in _orphans(library_id, blobs=blobs, photos=photos)]
    count = 0
    async for rendition in photos.renditions(library_id):
        count += 1
        kind = await _fault(rendition, blobs)
        if kind is not None and await photos.rendition(library_id, rendition.photo_id, rendition.kind) == rendition:
            findings.append(Finding(kind, rendition.blob_key, rendition.photo_id))
    return count, findings


async def _fault(rendition: Rendition, blobs: Blobs) -> Kind | None:
    digest = hashlib.sha256()
    try:
        async for chunk in blobs.read(rendition.blob_key):
            digest.update(chunk)
    except BlobNotFoundError:
        return "missing"
    return None if digest.digest() == rendition.sha256 else "damaged"


async def _orphans(library_id: UUID, *, blobs: Blobs, photos: PhotoStore) -> AsyncIterator[Finding]:
    """Keys are listed before rows are asked, so an analysis that ends in between is in the rows by then."""
    keys = [key async for key in blobs.keys(f"{PREFIX}/{library_id}/")]
    for at in range(0, len(keys), KEYS_AT_ONCE):
        for key in await photos.unknown_keys(keys[at : at + KEYS_AT_ONCE]):
            if await _is_there(key, blobs):
                yield Finding("orphan", key)


async def _is_there(key: str, blobs: Blobs) -> bool:
    """An attempt may have been swept since the listing."""
    try:
        await blobs.stat(key)
    except BlobNotFoundError:
        return False
    return True
