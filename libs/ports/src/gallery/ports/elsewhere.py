"""Originals that stay where they are: objects of somebody else, which are read and never written."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from gallery.ports.blobs import BlobError, Blobs, BlobStoreUnavailableError

REFERENCE = ".elsewhere"
"""What the key of a blob ends in whose bytes lie elsewhere."""


@dataclass(frozen=True, slots=True)
class Outside:
    """An object elsewhere, as it was when it was looked at.

    Attributes:
        place: Such as ``s3://bucket/key``.
        size: Bytes.
        version: Another one whenever the content is another, as its store says.
    """

    place: str
    size: int
    version: str


class PlaceRefusedError(BlobError):
    """The library may not refer to what lies there."""


class PlaceUnreadableError(BlobStoreUnavailableError):
    """What lies there is not given out, until its owner does something about it; the sentence says why."""


class PlaceAwayError(PlaceUnreadableError):
    """The store that has it does not answer: ask again later."""


class ReferenceDamagedError(BlobError):
    """What our own store has for a reference is none any more, which only happens from outside."""


class Elsewhere(Protocol):
    """Looks at objects of others, and refers to them."""

    async def look(self, library_id: UUID, place: str) -> Outside:
        """Find an object that a library may refer to.

        Raises:
            PlaceRefusedError: It may not.
            PlaceUnreadableError: It is no place, or its bucket does not give it out.
            BlobNotFoundError: Nothing is there.
        """
        ...

    def read_outside(self, outside: Outside) -> AsyncGenerator[bytes, None]:
        """Stream an object as it was looked at.

        Raises:
            BlobNotFoundError: It is not there any more.
            BlobChangedError: It is another by now.
            PlaceUnreadableError: Its bucket does not give it out.
        """
        ...

    async def refer(self, key: str, outside: Outside, *, sha256: bytes) -> None:
        """Have a blob stand for it, under a key that ends in `REFERENCE`; one that did is pointed here from now on.

        Deleting that blob leaves the object where it is.
        """
        ...

    async def stands(self, key: str) -> bool:
        """Whether what a reference stands for is there, as it was, and can be read.

        Raises:
            PlaceAwayError: That cannot be told now.
        """
        ...


class ReferringBlobs(Blobs, Elsewhere, Protocol):
    """A store of blobs that knows of objects elsewhere, too."""
