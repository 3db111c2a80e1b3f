"""What the gateway knows of those who come in."""

import hashlib
import hmac
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Owner:
    """The person at this machine.

    Attributes:
        library_id: The one library this owner has.
        token_sha256: Digest of the token, 32 bytes.
    """

    id: UUID
    library_id: UUID
    token_sha256: bytes

    def holds(self, token: str) -> bool:
        """Whether this is the owner's token; takes the same time for every wrong one."""
        return hmac.compare_digest(digest(token), self.token_sha256)


def digest(token: str) -> bytes:
    """Return what is kept of a token. It is 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
