"""The end of every way in: a blob becomes an original, or nothing is left of it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from gallery.ports.blobs import LATEST_WRITE, BlobError, BlobMismatchError, Blobs, BlobStoreFullError, StoredBlob
from gallery.runtime import metrics
from gallery.runtime.ids import uuid7
from gallery.runtime.logs import get_logger
from gallery.runtime.media_types import MediaType, detect, refused_name
from gallery.upload.domain import Claim, Original, Receipt, Status
from gallery.upload.errors import (
    ChecksumMismatchError,
    EmptyFileError,
    StorageAwayError,
    StorageFullError,
    TooLargeError,
    UnsupportedTypeError,
)
from gallery.upload.ports import Intents, Originals

PREFIX = "originals"
"""Before library and random id in every key, so that a check of originals meets nothing else."""

log = get_logger(__name__)


def prefix_of(library_id: UUID) -> str:
    """Return what the keys of a library's originals begin with."""
    return f"{PREFIX}/{library_id}/"


def new_key(library_id: UUID) -> str:
    """Return a key for an original to come."""
    return prefix_of(library_id) + uuid4().hex


def allowed_size(size: int, *, largest: int) -> int:
    """Return the size, if a file may have it.

    Raises:
        TooLargeError: It may not.
    """
    if size > largest:
        raise TooLargeError(f"files above {largest} bytes are not taken in")
    return size


def type_of(head: bytes) -> MediaType:
    """Tell the type of a file by its first bytes, at most ``HEAD`` of them.

    Raises:
        EmptyFileError: There are none.
        UnsupportedTypeError: Of no type that is taken in.
    """
    if not head:
        raise EmptyFileError("the file has no bytes")
    found = detect(head)
    if found is None:
        kind = refused_name(head) or "this"
        raise UnsupportedTypeError(f"by its content {kind} is no type of photo or video that is taken in")
    return found


@contextmanager
def said_by_store(*but: type[BlobError]) -> Iterator[None]:
    """Say of an upload what the store of blobs says of an object, ``but`` for some errors."""
    try:
        yield
    except but:
        raise
    except BlobMismatchError as error:
        raise ChecksumMismatchError("the bytes that arrived are not those that were announced") from error
    except BlobStoreFullError as error:
        raise StorageFullError("there is no room left for originals: free some space, then send it again") from error
    except BlobError as error:
        log.warning("the store of originals fails", exc_info=error)
        raise StorageAwayError(
            "the store of originals cannot take it now; the log says why. Send it again later"
        ) from error


class Acceptance:
    """Makes originals of blobs that were declared as intents."""

    def __init__(self, *, blobs: Blobs, originals: Originals, intents: Intents) -> None:
        self._blobs = blobs
        self._originals = originals
        self._intents = intents

    @asynccontextmanager
    async def declared(self, key: str, *, library_id: UUID) -> AsyncIterator[None]:
        """Write a blob of this key while the block is open; if that fails, nothing is left of it."""
        await self._intents.declare(library_id, key)
        try:
            yield
        except Exception as error:
            # A store that gave no answer may still be writing.
            after = LATEST_WRITE if isinstance(error, StorageAwayError) else timedelta(0)
            with suppress(Exception):  # the first error is the one to tell; the sweeper sees to the rest
                await self.discard(key, after=after)
            raise
        finally:
            self._intents.let_go(key)

    async def record(self, claim: Claim, blob: StoredBlob, *, media_type: MediaType) -> Receipt:
        """Make a checked blob an original, or remove it because the same bytes are one already.

        May be repeated for the same blob: the photo that it has become is accepted, whatever became of that answer.

        Raises:
            IntentLostError: It was taken for abandoned.
        """
        original = _original(claim, blob, media_type=media_type)
        recorded = await self._originals.record(original, lane=claim.lane)
        if recorded.photo_id == original.photo_id:
            metrics.UPLOADED.inc(original.size)
        if recorded.blob_key == blob.key:
            return Receipt(recorded, Status.ACCEPTED)
        with suppress(BlobError):  # then the sweeper does it
            await self.discard(blob.key)
        return Receipt(recorded, Status.ALREADY_STORED)

    async def discard(self, key: str, *, after: timedelta = timedelta(0)) -> None:
        """Remove a blob, unless it is an original's: a commit counts even when word of it got lost.

        Args:
            key: Of the blob.
            after: How long it may still come; the sweeper removes it again until then.
        """
        if await self._intents.disown(key):
            await self._blobs.delete(key)
            await self._intents.forget(key, after=after)


def _original(claim: Claim, blob: StoredBlob, *, media_type: MediaType) -> Original:
    return Original(
        photo_id=uuid7(),
        library_id=claim.library_id,
        blob_key=blob.key,
        sha256=blob.sha256,
        size=blob.size,
        media_type=media_type.mime,
        uploaded_at=datetime.now(UTC),
        file=claim.file,
        modified_at=claim.modified_at,
        said=claim.said,
    )
