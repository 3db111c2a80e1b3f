"""Direct uploads: the client sends the bytes to the store itself, and says when they are all there.

It names size and sha256 before; the same bytes begun again are the same upload, which goes on with what is missing.
Then the file is looked at as one that came by a form.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from gallery.ports.blobs import BlobError, BlobNotFoundError, Blobs
from gallery.ports.direct_uploads import DirectUploads, PiecesMissingError, SignedRequest
from gallery.runtime.ids import uuid7
from gallery.runtime.media_types import HEAD
from gallery.upload.acceptance import Acceptance, allowed_size, new_key, said_by_store, type_of
from gallery.upload.claims import readable
from gallery.upload.domain import Claim, Ended, Outcome, Progress, Receipt, Transfer
from gallery.upload.errors import (
    BadClaimError,
    ChecksumMismatchError,
    EmptyFileError,
    PartsMissingError,
    StillCheckingError,
    UnknownUploadError,
    UnsupportedTypeError,
    UploadRefusedError,
)
from gallery.upload.ports import Intents, Originals, Transfers

LIVES = timedelta(days=1)
"""From its beginning to its end, with all interruptions; the store keeps what is unfinished as long."""
SIGNED_FOR = timedelta(hours=1)
"""A part has to be begun within; then it is signed again."""
CHECKED_AT_ONCE = 4
"""In a process; each reads and hashes its file."""

_PERHAPS_TAKEN = ("image/", "video/", "application/octet-stream")
_REFUSALS: Mapping[Outcome, type[UploadRefusedError]] = {
    Outcome.CHECKSUM_MISMATCH: ChecksumMismatchError,
    Outcome.UNSUPPORTED_TYPE: UnsupportedTypeError,
}


class DirectUploading:
    """Lets clients send files straight to the store.

    Args:
        largest_file: Bytes.
    """

    def __init__(
        self,
        *,
        store: DirectUploads,
        transfers: Transfers,
        blobs: Blobs,
        originals: Originals,
        intents: Intents,
        largest_file: int,
    ) -> None:
        self._store = store
        self._transfers = transfers
        self._blobs = blobs
        self._originals = originals
        self._acceptance = Acceptance(blobs=blobs, originals=originals, intents=intents)
        self._largest_file = largest_file
        self._checking = asyncio.Semaphore(CHECKED_AT_ONCE)

    async def begin(self, claim: Claim, *, size: int, said_type: str | None = None) -> Progress | Ended:
        """Begin an upload, or go on with one of the same bytes; what is stored already need not be sent.

        Args:
            claim: With its sha256.
            size: Bytes of the whole.
            said_type: The media type by which the client knows it. The content decides in the end.

        Raises:
            UploadRefusedError: Such a file would not be taken.
            StorageAwayError: The store cannot take it now.
        """
        sha256 = self._checked(claim, size=size, said_type=said_type)
        known = await self._originals.known(claim.library_id, [sha256])
        if sha256 in known:
            return Ended(Outcome.ALREADY_STORED, known[sha256])
        transfer = await self._transfers.unfinished(claim.library_id, sha256=sha256, size=size)
        if transfer is None:
            await self._originals.refuse_when_full(claim.library_id, size=size)
            return Progress(await self._begun(claim, size=size, sha256=sha256), ())
        try:
            return await self._progress(transfer)
        except BlobNotFoundError:
            return Progress(await self._renewed(transfer), ())

    async def look(self, library_id: UUID, transfer_id: UUID) -> Progress:
        """Say how far an upload is; of one that the store has lost, nothing is sent.

        Raises:
            UnknownUploadError: There is none.
            StorageAwayError: The store does not say.
        """
        transfer = await self._find(library_id, transfer_id)
        try:
            return await self._progress(transfer)
        except BlobNotFoundError:
            return Progress(transfer, ())

    async def sign(self, library_id: UUID, transfer_id: UUID, digests: Mapping[int, bytes]) -> dict[int, SignedRequest]:
        """Allow the client to send parts, of which it says number and sha256; as often as it likes.

        Raises:
            UnknownUploadError: There is none, or it has ended.
            BadClaimError: There is no such part.
        """
        transfer = await self._find(library_id, transfer_id)
        if transfer.ended is not None:
            raise UnknownUploadError("this upload has ended: begin again to hear how")
        return self.signed(transfer, digests)

    def signed(self, transfer: Transfer, digests: Mapping[int, bytes]) -> dict[int, SignedRequest]:
        """Sign parts of an upload that is under way; see `sign`."""
        valid_for = min(SIGNED_FOR, transfer.expires_at - datetime.now(UTC))
        with readable():
            return {
                number: self._store.sign(transfer.upload, number, sha256=sha256, valid_for=valid_for)
                for number, sha256 in digests.items()
            }

    async def complete(self, library_id: UUID, transfer_id: UUID) -> tuple[Transfer, Ended]:
        """Look at what was sent and make it an original; asked again, it says the same again.

        Raises:
            PartsMissingError: Not everything was sent; it goes on.
            UploadRefusedError: It is none that can be taken; the upload has ended.
            QuotaReachedError: The library is full; ask again once its quota is raised.
            StillCheckingError: This is being done.
            StorageAwayError: The store cannot do it now; ask again later.
            UnknownUploadError: There is none.
        """
        async with self._checking, self._transfers.alone(transfer_id):
            transfer = await self._find(library_id, transfer_id)
            ended = transfer.ended or await self._end(transfer)
        if ended.outcome in _REFUSALS:
            raise _REFUSALS[ended.outcome](ended.detail)
        return transfer, ended

    async def abort(self, library_id: UUID, transfer_id: UUID) -> None:
        """Forget an upload and remove what was sent; an original that it has become stays.

        Raises:
            StillCheckingError: It is being completed.
            UnknownUploadError: There is none.
        """
        async with self._transfers.alone(transfer_id):
            await self._remove(await self._find(library_id, transfer_id))

    async def sweep(self) -> int:
        """Remove uploads that have run out; returns how many are gone."""
        gone = 0
        for transfer in await self._transfers.expired():
            with suppress(StillCheckingError):  # the next sweep meets it again
                async with self._transfers.alone(transfer.id):
                    await self._remove(transfer)
                gone += 1
        return gone

    def _checked(self, claim: Claim, *, size: int, said_type: str | None) -> bytes:
        """Return the sha256 of a file that may be sent, as far as can be told."""
        if claim.sha256 is None:
            raise BadClaimError("a direct upload needs the sha256 of the whole file")
        if size < 1:
            raise EmptyFileError("the file has no bytes")
        allowed_size(size, largest=self._largest_file)
        if said_type and not said_type.lower().startswith(_PERHAPS_TAKEN):
            raise UnsupportedTypeError("this is no type of photo or video that is taken in")
        return claim.sha256

    async def _begun(self, claim: Claim, *, size: int, sha256: bytes) -> Transfer:
        with said_by_store():
            upload = await self._store.begin(size=size, sha256=sha256)
        transfer = Transfer(
            id=uuid7(),
            claim=claim,
            upload=upload,
            blob_key=new_key(claim.library_id),
            expires_at=datetime.now(UTC) + LIVES,
        )
        await self._transfers.add(transfer)
        return transfer

    async def _renewed(self, transfer: Transfer) -> Transfer:
        """Begin an upload anew that the store has lost."""
        with said_by_store():
            upload = await self._store.begin(size=transfer.upload.size, sha256=transfer.upload.sha256)
        await self._transfers.renew(transfer.id, upload)
        return replace(transfer, upload=upload)

    async def _find(self, library_id: UUID, transfer_id: UUID) -> Transfer:
        found = await self._transfers.find(library_id, transfer_id)
        if found is None:
            raise UnknownUploadError("there is no upload of this id under way: begin again")
        return found

    async def _progress(self, transfer: Transfer) -> Progress:
        """Raise BlobNotFoundError for one that the store has lost."""
        if transfer.ended is not None:
            return Progress(transfer, ())
        with said_by_store(BlobNotFoundError):
            return Progress(transfer, tuple(await self._store.sent(transfer.upload)))

    async def _end(self, transfer: Transfer) -> Ended:
        try:
            receipt = await self._accepted(transfer)
            ended = Ended(Outcome(receipt.status), receipt.original.photo_id)
        except ChecksumMismatchError as error:
            ended = Ended(Outcome.CHECKSUM_MISMATCH, detail=str(error))
        except UnsupportedTypeError as error:
            ended = Ended(Outcome.UNSUPPORTED_TYPE, detail=str(error))
        await self._transfers.end(transfer.id, ended)
        await self._clear(transfer)
        return ended

    async def _accepted(self, transfer: Transfer) -> Receipt:
        try:
            with said_by_store(BlobNotFoundError, PiecesMissingError):
                blob = await self._store.accept(transfer.upload, key=transfer.blob_key)
                head = b"".join([chunk async for chunk in self._blobs.read(transfer.blob_key, length=HEAD)])
        except PiecesMissingError as error:
            raise PartsMissingError(error.numbers) from error
        except BlobNotFoundError as error:
            renewed = await self._renewed(transfer)
            raise PartsMissingError(range(1, renewed.upload.pieces + 1)) from error
        return await self._acceptance.record(transfer.claim, blob, media_type=type_of(head))

    async def _remove(self, transfer: Transfer) -> None:
        await self._transfers.forget(transfer.id)
        await self._clear(transfer)

    async def _clear(self, transfer: Transfer) -> None:
        """Remove all that the store has of an upload but for an original; what it keeps is swept later."""
        with suppress(BlobError):
            await self._store.abandon(transfer.upload)
            await self._acceptance.discard(transfer.blob_key)
