"""Taking originals in: the story from the first byte to the fact that a photo is there."""

from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from uuid import UUID

from gallery.ports.blobs import LATEST_WRITE, BlobError, Blobs
from gallery.runtime.media_types import MediaType
from gallery.upload.acceptance import Acceptance, new_key, said_by_store, type_of
from gallery.upload.body import Body
from gallery.upload.domain import Claim, Original, Receipt, Status
from gallery.upload.errors import ChecksumMismatchError, UnknownPhotoError
from gallery.upload.ports import Intents, Originals


class Uploads:
    """Accepts files and answers what is known of them.

    Args:
        largest_file: Bytes.
    """

    def __init__(self, *, blobs: Blobs, originals: Originals, intents: Intents, largest_file: int) -> None:
        self._blobs = blobs
        self._originals = originals
        self._acceptance = Acceptance(blobs=blobs, originals=originals, intents=intents)
        self._largest_file = largest_file

    async def accept(self, claim: Claim, chunks: AsyncIterator[bytes]) -> Receipt:
        """Store a file, durable and checked, or find that it is stored.

        The same bytes twice, one after the other or at once, are one photo: a retry after a cut connection is safe.

        Raises:
            UploadRefusedError: The file is none that can be taken.
            StorageFullError: No room.
            StorageAwayError: The store cannot take it now.
        """
        body = Body(chunks, largest=self._largest_file)
        media_type = type_of(await body.head())
        stored = await self._stored_already(claim, body)
        if stored is not None:
            return Receipt(stored, Status.ALREADY_STORED)
        await self._originals.refuse_when_full(claim.library_id)
        return await self._store(claim, body, media_type=media_type)

    async def find(self, library_id: UUID, photo_id: UUID) -> Original:
        """Return one original.

        Raises:
            UnknownPhotoError: There is none of this id.
        """
        found = await self._originals.find(library_id, [photo_id])
        if not found:
            raise UnknownPhotoError("there is no photo of this id")
        return found[0]

    async def _stored_already(self, claim: Claim, body: Body) -> Original | None:
        """Believe a client that knows the digest only after it has sent the bytes; they are hashed, not written."""
        if claim.sha256 is None:
            return None
        known = await self._originals.known(claim.library_id, [claim.sha256])
        if claim.sha256 not in known:
            return None
        if await body.digest() != claim.sha256:
            raise ChecksumMismatchError("the bytes that arrived are not those that were announced")
        return await self.find(claim.library_id, known[claim.sha256])

    async def _store(self, claim: Claim, body: Body, *, media_type: MediaType) -> Receipt:
        key = new_key(claim.library_id)
        async with self._acceptance.declared(key, library_id=claim.library_id):
            with said_by_store():
                blob = await self._blobs.put(key, body.whole(), sha256=claim.sha256)
            return await self._acceptance.record(claim, blob, media_type=media_type)


class Sweeper:
    """Removes what uploads left that never came to their end."""

    def __init__(self, *, blobs: Blobs, intents: Intents) -> None:
        self._blobs = blobs
        self._intents = intents

    async def sweep(self) -> int:
        """Remove the blobs of abandoned intents; returns how many.

        Each is removed by every sweep until nothing that the dead asked the store for can come true any more; one that
        cannot be removed now is tried again by the next.
        """
        abandoned: Collection[str] = await self._intents.abandon()
        gone = 0
        for key in abandoned:
            with suppress(BlobError):
                await self._blobs.delete(key)
                await self._intents.forget(key, after=LATEST_WRITE)
                gone += 1
        return gone
