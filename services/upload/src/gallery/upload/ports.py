"""What the use cases of this service need from its database."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from gallery.upload.domain import Fault, FindingKind, Lane, Night, Original, Round, Turn


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

    async def forget(self, key: str) -> None:
        """There is nothing left of this blob."""
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

    async def refuse_when_full(self, library_id: UUID) -> None:
        """Spare a client the sending of what `record` would refuse.

        Raises:
            QuotaReachedError: The library may hold no further photo.
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
