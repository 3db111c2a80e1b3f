"""What this service needs of others."""

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

from gallery.metadata.domain import Original


class Uploads(Protocol):
    """The upload service's knowledge of originals."""

    async def original(self, library_id: UUID, photo_id: UUID) -> Original:
        """Ask for one.

        Raises:
            UploadUnavailableError: No answer now.
            OriginalUnknownError: There is none.
        """
        ...


class Jail(Protocol):
    """Children that read files nobody vouches for, each under limits of memory and time."""

    async def call(self, header: dict[str, Any], *blobs: bytes) -> tuple[dict[str, Any], Sequence[bytes | memoryview]]:
        """Hand a file to a child and wait for what it read."""
        ...
