"""Reading what a client says about a file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from gallery.upload.domain import Claim, Lane
from gallery.upload.errors import BadClaimError
from gallery.upload.names import safe_path
from gallery.upload.said import read_said

DIGEST = "^[0-9a-f]{64}$"
"""A sha256 as it is written."""

Digest = Annotated[str, Field(pattern=DIGEST)]

_DIGEST_BYTES = 32


class Announcement(BaseModel):
    """A file of which a client speaks in JSON; as the fields of the form."""

    path: str
    sha256: Digest | None = None
    lane: str | None = None
    modified: str | None = None
    said: dict[str, Any] | None = None

    def claim(self, library_id: UUID) -> Claim:
        """Check it.

        Raises:
            BadClaimError: It cannot be read.
        """
        with readable():
            said = None if self.said is None else json.dumps(self.said, ensure_ascii=False)
            return read_claim(
                library_id, file=self.path, lane=self.lane, sha256=self.sha256, modified=self.modified, said=said
            )


@contextmanager
def readable() -> Iterator[None]:
    """Refuse what cannot be read."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise BadClaimError(f"what was said about the file cannot be read: {error}") from error


def read_claim(
    library_id: UUID, *, file: str, lane: str | None, sha256: str | None, modified: str | None, said: str | None
) -> Claim:
    """Check what was said, each as text, and put it together; what is left out is None or empty.

    Raises:
        ValueError: It cannot be read.
        OverflowError: A time before or after all that can be reckoned with.
    """
    return Claim(
        library_id=library_id,
        file=safe_path(file),
        lane=Lane(lane or Lane.INTERACTIVE),
        sha256=_digest(sha256) if sha256 else None,
        modified_at=datetime.fromisoformat(modified).astimezone() if modified else None,
        said=read_said(said) if said else None,
    )


def _digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != _DIGEST_BYTES:
        raise ValueError("a sha256 has 64 hexadecimal digits")
    return digest
