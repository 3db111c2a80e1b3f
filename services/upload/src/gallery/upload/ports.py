"""What the use cases of this service need from its database."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from gallery.ports.direct_uploads import DirectUpload
from gallery.upload.domain import Ended, Fault, FindingKind, Lane, Night, Original, Round, Transfer, Turn


class Intents(Protocol):
    """Blobs about to be written. A blob without a row is swept once nobody can be writing it any more."""

    async def declare(self, library_id: UUID, key: str) -> None:
        """Say durably that this process will put a blob of this key."""
        ...

    def let_go(self, key: str) -> None:
        """This process writes no more under this key, however it ended; an intent that is left is then swept."""
        ...

    async def disown(self, key: str) -> bool:
        """Give up one blob, which can no longer be recorded then; false when it is an original's by now."""
        ...

    async def forget(self, key: str, *, after: timedelta) -> None:
        """There is nothing left of this blob, and nothing can come any more once it was given up so long ago."""
        ...

    async def abandon(self) -> Sequence[str]:
        """Take over the intents of dead processes, and of this one's uploads that ended without a word.

        What is returned can no longer be recorded as an original; the caller removes the blobs and forgets them.
        """
        ...


class Originals(Protocol):
    """The rows of originals."""

    async def record(self, original: Original, *, lane: Lane) -> Original:
        """Make it exist, fulfil its intent and say PhotoUploaded, in one transaction.

        Returns the row of the same bytes that was there first, if there was one; then nothing changed.

        Raises:
            IntentLostError: The intent was abandoned in between.
            QuotaReachedError: The library may not hold it; nothing changed.
        """
        ...

    async def refuse_when_full(self, library_id: UUID, *, size: int = 1) -> None:
        """Spare a client the sending of what `record` would refuse.

        Args:
            library_id: Where it would be.
            size: Bytes that it has at least.

        Raises:
            QuotaReachedError: The library may hold no such photo.
        """
        ...

    async def known(self, library_id: UUID, digests: Collection[bytes]) -> dict[bytes, UUID]:
        """Photo ids by sha256, for those that are stored."""
        ...

    async def find(self, library_id: UUID, photo_ids: Collection[UUID]) -> Sequence[Original]:
        """These originals, as far as they are there, in any order."""
        ...

    def every(self, library_id: UUID) -> AsyncIterator[Original]:
        """All originals of a library, oldest first."""
        ...

    async def say_again(self, library_id: UUID) -> int:
        """Say PhotoUploaded of every original once more, in the backfill lane; returns how many."""
        ...

    async def unknown_keys(self, keys: Collection[str]) -> Collection[str]:
        """Which of these blob keys belong to no row and to no intent."""
        ...


class Faults(Protocol):
    """Originals that were not well when they were last read."""

    async def note(self, original: Original, kind: FindingKind | None) -> bool:
        """Keep what a reading showed, None for nothing wrong; whether a fault is news."""
        ...

    async def found(self, library_id: UUID) -> Sequence[Fault]:
        """All of a library, oldest photo first."""
        ...


class Audits(Protocol):
    """How far the audit is, for all processes together."""

    async def take(self, night: Night, *, budget: int, lease: timedelta) -> Turn | None:
        """Take the next slice for so long; None when it is another's, or the night's bytes or originals are read."""
        ...

    async def settle(self, turn: Turn, *, after: UUID, size: int, objects: int, ended: bool) -> None:
        """Hand the turn back: so many originals and bytes were read, ``after`` last; the round may be over."""
        ...

    async def release(self, turn: Turn) -> None:
        """Hand the turn back with nothing read."""
        ...

    async def originals(self, *, after: UUID, limit: int) -> Sequence[Original]:
        """The next originals of all libraries, oldest first."""
        ...

    async def round(self) -> Round:
        """How far it is."""
        ...


class Transfers(Protocol):
    """The rows of direct uploads."""

    async def add(self, transfer: Transfer) -> None:
        """Keep a new one and declare its blob, which no process owns."""
        ...

    async def find(self, library_id: UUID, transfer_id: UUID) -> Transfer | None:
        """This one, unless it has run out."""
        ...

    async def unfinished(self, library_id: UUID, *, sha256: bytes, size: int) -> Transfer | None:
        """The newest one of this content that has neither ended nor run out."""
        ...

    async def renew(self, transfer_id: UUID, upload: DirectUpload) -> None:
        """The store knows it by something else from now on, unless it has ended."""
        ...

    async def end(self, transfer_id: UUID, ended: Ended) -> None:
        """Keep how it ended."""
        ...

    async def forget(self, transfer_id: UUID) -> None:
        """It is over; if its blob is no original by now, it is abandoned."""
        ...

    async def expired(self) -> Sequence[Transfer]:
        """Some of those that have run out, ended or not."""
        ...

    def alone(self, transfer_id: UUID) -> AbstractAsyncContextManager[None]:
        """Let nobody else end this one while the block is open, in whichever process.

        Raises:
            StillCheckingError: Somebody else does.
        """
        ...
