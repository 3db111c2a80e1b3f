"""Checking every original against its digest and its row, in both directions."""

import hashlib
from collections.abc import AsyncIterator
from uuid import UUID

from gallery.ports.blobs import BlobChangedError, BlobNotFoundError, Blobs
from gallery.ports.elsewhere import PlaceUnreadableError, ReferenceDamagedError
from gallery.runtime import metrics
from gallery.runtime.logs import get_logger
from gallery.upload.acceptance import prefix_of
from gallery.upload.domain import FAULTS, Finding, FindingKind, Original, Verification
from gallery.upload.ports import Faults, Originals

log = get_logger(__name__)

KEYS_AT_ONCE = 1000
"""Keys asked about in one statement."""


WELL = "well"
OUTCOMES = (WELL, *FAULTS, FindingKind.UNREADABLE)
"""What a reading shows."""


async def verify(library_id: UUID, *, blobs: Blobs, originals: Originals, faults: Faults) -> Verification:
    """Read every original of a library and compare; costs as much as reading them all."""
    findings = [finding async for finding in _orphans(library_id, blobs=blobs, originals=originals)]
    objects = 0
    async for original in originals.every(library_id):
        objects += 1
        kind = await check(original, blobs=blobs, faults=faults)
        if kind is not None:
            findings.append(Finding(kind, original.blob_key, original.photo_id))
    return Verification(objects, tuple(findings))


async def check(original: Original, *, blobs: Blobs, faults: Faults) -> FindingKind | None:
    """Read one original back, and keep what was wrong; None when it is well.

    Of one that cannot be read now since it lies elsewhere, what was known before stays.

    Raises:
        BlobError: Our own store cannot be read now, which says nothing of the original.
    """
    kind = await _finding(original, blobs)
    metrics.AUDITED.labels(kind or WELL).inc()
    if kind is FindingKind.UNREADABLE:
        log.warning("an original elsewhere cannot be read now", photo_id=str(original.photo_id))
        return kind
    metrics.AUDITED_BYTES.inc(original.size)
    if await faults.note(original, kind):
        log.error("an original is not as it was stored", kind=kind, photo_id=str(original.photo_id))
    return kind


async def _finding(original: Original, blobs: Blobs) -> FindingKind | None:
    digest = hashlib.sha256()
    try:
        async for chunk in blobs.read(original.blob_key):
            digest.update(chunk)
    except BlobNotFoundError:
        return FindingKind.MISSING
    except BlobChangedError:
        return FindingKind.CHANGED
    except PlaceUnreadableError:
        return FindingKind.UNREADABLE
    except (OSError, ReferenceDamagedError):  # the disk cannot read it, or has something else
        return FindingKind.DAMAGED
    return None if digest.digest() == original.sha256 else FindingKind.DAMAGED


async def _orphans(library_id: UUID, *, blobs: Blobs, originals: Originals) -> AsyncIterator[Finding]:
    """Keys are listed before rows are asked, so an upload that ends in between is in the rows by then."""
    keys: list[str] = []
    async for key in blobs.keys(prefix_of(library_id)):
        keys.append(key)
        if len(keys) == KEYS_AT_ONCE:
            for orphan in await _existing(keys, blobs=blobs, originals=originals):
                yield orphan
            keys = []
    for orphan in await _existing(keys, blobs=blobs, originals=originals):
        yield orphan


async def _existing(keys: list[str], *, blobs: Blobs, originals: Originals) -> list[Finding]:
    """Those that no row knows and that are still there: an upload may have been given up since the listing."""
    found = []
    for key in await originals.unknown_keys(keys):
        try:
            await blobs.stat(key)
        except BlobNotFoundError:
            continue
        except ReferenceDamagedError:
            log.warning("an orphan is no whole reference", key=key)
        found.append(Finding(FindingKind.ORPHAN, key))
    return found
