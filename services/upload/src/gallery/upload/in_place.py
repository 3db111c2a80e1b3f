"""Taking in originals that stay where they are: read once from end to end, then only referred to."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager

from gallery.ports import elsewhere as ports
from gallery.ports.blobs import BlobChangedError, BlobNotFoundError, Blobs, StoredBlob
from gallery.ports.elsewhere import REFERENCE, Elsewhere, Outside
from gallery.runtime.media_types import MediaType
from gallery.upload.acceptance import Acceptance, allowed_size, new_key, said_by_store, type_of
from gallery.upload.body import Body
from gallery.upload.domain import Claim, Original, Receipt, Status
from gallery.upload.errors import ChecksumMismatchError, PlaceRefusedError, PlaceUnreadableError, StorageAwayError
from gallery.upload.ports import Intents, Originals

READ_AT_ONCE = 4
"""In a process; a few bytes of a request make it read a whole file."""


class InPlace:
    """Accepts originals in buckets of their owner.

    Args:
        elsewhere: Where they lie.
        blobs: Where references to them are kept.
        originals: The rows of all originals.
        intents: Blobs about to be written.
        largest_file: Bytes.
    """

    def __init__(
        self, *, elsewhere: Elsewhere, blobs: Blobs, originals: Originals, intents: Intents, largest_file: int
    ) -> None:
        self._elsewhere = elsewhere
        self._originals = originals
        self._acceptance = Acceptance(blobs=blobs, originals=originals, intents=intents)
        self._largest_file = largest_file
        self._reading = asyncio.Semaphore(READ_AT_ONCE)

    async def accept(self, claim: Claim, place: str) -> Receipt:
        """Take in what lies at a place, without copying it, or find that it is stored.

        What was taken in elsewhere, and is not there any more, is looked for here from now on.

        Raises:
            UploadRefusedError: The file is none that can be taken, or not from there.
            StorageAwayError: The bucket, or the store of originals, does not answer now.
        """
        with _said_of_place():
            outside = await self._elsewhere.look(claim.library_id, place)
            async with self._reading:
                media_type, sha256 = await self._read(outside)
        if claim.sha256 not in {None, sha256}:
            raise ChecksumMismatchError("what lies there is not what was announced")
        known = await self._originals.known(claim.library_id, [sha256])
        if stored := await self._originals.find(claim.library_id, known.values()):
            return await self._found_again(stored[0], outside)
        await self._originals.refuse_when_full(claim.library_id, size=outside.size)
        key = new_key(claim.library_id) + REFERENCE
        async with self._acceptance.declared(key, library_id=claim.library_id):
            with said_by_store():
                await self._elsewhere.refer(key, outside, sha256=sha256)
            return await self._acceptance.record(claim, StoredBlob(key, outside.size, sha256), media_type=media_type)

    async def _read(self, outside: Outside) -> tuple[MediaType, bytes]:
        """Return type and sha256."""
        allowed_size(outside.size, largest=self._largest_file)
        async with aclosing(self._elsewhere.read_outside(outside)) as chunks:
            body = Body(chunks, largest=self._largest_file)
            return type_of(await body.head()), await body.digest()

    async def _found_again(self, stored: Original, outside: Outside) -> Receipt:
        if stored.blob_key.endswith(REFERENCE):
            with said_by_store():
                if not await self._elsewhere.stands(stored.blob_key):
                    await self._elsewhere.refer(stored.blob_key, outside, sha256=stored.sha256)
        return Receipt(stored, Status.ALREADY_STORED)


@contextmanager
def _said_of_place() -> Iterator[None]:
    """Say of an upload what the store elsewhere says of an object."""
    try:
        yield
    except ports.PlaceRefusedError as error:
        raise PlaceRefusedError(str(error)) from error
    except BlobNotFoundError as error:
        raise PlaceUnreadableError("it is not there any more: import again") from error
    except BlobChangedError as error:
        raise PlaceUnreadableError("it was replaced while it was read: import again") from error
    except ports.PlaceAwayError as error:
        raise StorageAwayError(f"{error}: import again later") from error
    except ports.PlaceUnreadableError as error:
        raise PlaceUnreadableError(str(error)) from error
