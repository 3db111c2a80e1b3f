"""Uploads that clients send straight to the store of blobs, past our processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from gallery.ports.blobs import BlobError, StoredBlob


class PiecesMissingError(BlobError):
    """Not everything was sent yet.

    Attributes:
        numbers: Of the pieces that are missing, ascending.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__(f"{len(numbers)} pieces are missing")
        self.numbers = tuple(numbers)


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """What a store knows an upload by; to be kept until it is accepted or abandoned.

    Attributes:
        staged: Where the bytes lie until then; no blob.
        parts_id: Of an upload in parts; None of one that is a single piece.
        size: Bytes of the whole.
        sha256: Of the whole, 32 bytes, as the client says.
        piece_size: Bytes of each piece but the last one, which has the rest.
    """

    staged: str
    parts_id: str | None
    size: int
    sha256: bytes
    piece_size: int

    @property
    def pieces(self) -> int:
        """How many there are."""
        return -(-self.size // self.piece_size)

    def size_of(self, number: int) -> int:
        """Return how many bytes a piece has.

        Raises:
            ValueError: There is none of this number.
        """
        if not 1 <= number <= self.pieces:
            raise ValueError(f"there is no piece {number}, they are numbered from 1 to {self.pieces}")
        return min(self.piece_size, self.size - (number - 1) * self.piece_size)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request that a client may send: these headers as they are, and exactly the bytes of its piece.

    Attributes:
        method: Of HTTP.
        url: Secret: who knows it may send it.
        headers: All are signed.
    """

    method: str
    url: str
    headers: Mapping[str, str]


class DirectUploads(Protocol):
    """Lets clients upload to a store, and makes blobs only of what is checked. A blob's own key is never signed."""

    async def begin(self, *, size: int, sha256: bytes) -> DirectUpload:
        """Make room for an upload; into how many pieces it is cut depends on its size.

        Raises:
            ValueError: It is empty.
        """
        ...

    def sign(self, upload: DirectUpload, number: int, *, sha256: bytes, valid_for: timedelta) -> SignedRequest:
        """Allow a client to send a piece, whose sha256 it says. A piece of an upload in parts may be sent anew.

        Raises:
            ValueError: There is none of this number, or the only one is said to be another than the whole.
        """
        ...

    async def sent(self, upload: DirectUpload) -> Sequence[int]:
        """Return the numbers of the pieces that are there, ascending.

        Raises:
            BlobNotFoundError: The store knows nothing of an upload in parts: it was abandoned, or is lost.
        """
        ...

    async def accept(self, upload: DirectUpload, *, key: str) -> StoredBlob:
        """Check what was sent and make it a blob; may be repeated. What was sent stays until it is abandoned.

        Raises:
            PiecesMissingError: Send them, then repeat it.
            BlobMismatchError: All of it is there, and its sha256 is another one. It is removed.
            BlobNotFoundError: As for `sent`.
        """
        ...

    async def abandon(self, upload: DirectUpload) -> None:
        """Remove what was sent, be it a blob by now or not; where there is nothing it is fine."""
        ...
