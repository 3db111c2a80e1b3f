"""Uploads that clients send straight to the store of blobs, past our processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from gallery.ports.blobs import StoredBlob


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """What a store knows an upload by; to be kept until it is accepted or abandoned.

    Attributes:
        staged: Where the bytes lie until then; no blob.
        parts_id: Of an upload in parts; None of one that is a single piece.
        size: Bytes of the whole.
        sha256: Of the whole, 32 bytes, as the client says.
    """

    staged: str
    parts_id: str | None
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that are sent by one request.

    Attributes:
        number: From 1, in the order of the whole.
        size: Bytes; those of an upload in parts have at least 5 MiB, but for the last one.
        sha256: Of the piece, 32 bytes.
    """

    number: int
    size: int
    sha256: bytes


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
        """Make room for an upload; whether it is a single piece depends on its size.

        Raises:
            ValueError: It is empty.
        """
        ...

    def sign(self, upload: DirectUpload, piece: Piece, *, valid_for: timedelta) -> SignedRequest:
        """Allow a client to send a piece. A piece of an upload in parts may be sent anew.

        Raises:
            ValueError: The upload is a single piece, and this is another one.
        """
        ...

    async def accept(self, upload: DirectUpload, *, key: str) -> StoredBlob:
        """Check what was sent and make it a blob; may be repeated when its answer was lost.

        Raises:
            BlobMismatchError: Of another size, so that pieces are missing, or of another sha256.
            BlobNotFoundError: Nothing was sent, or it was abandoned.
        """
        ...

    async def abandon(self, upload: DirectUpload) -> None:
        """Remove what was sent; one that is over is fine."""
        ...
