"""The local owner: whoever can read the token file in the data folder."""

import os
import secrets
import tempfile
from pathlib import Path

from gallery.gateway.domain import Owner, digest
from gallery.gateway.errors import TokenFileError
from gallery.gateway.ports import Owners
from gallery.runtime.ids import uuid7

TOKEN_FILE = "owner.token"  # noqa: S105 - the name of the file, not what is in it
TOKEN_BYTES = 32


async def establish(owners: Owners, data: Path, *, token: str | None = None) -> Owner:
    """Return the owner, made at the first start with a library and a token.

    A token file that is lost, or that a restored database does not know, is replaced; the old token no longer opens.

    Args:
        owners: Where the owner is kept.
        data: Folder of the token file.
        token: The one to use instead of a file's, as several gateways that share an owner must.

    Raises:
        TokenFileError: The file cannot be written.
    """
    owner = await owners.find()
    known = token or _read(data / TOKEN_FILE)
    if owner is not None and known is not None and owner.holds(known):
        return owner
    if token is None:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        _write(data / TOKEN_FILE, token)
    if owner is None:
        await owners.add(Owner(id=uuid7(), library_id=uuid7(), token_sha256=digest(token)))
    else:
        await owners.change_token(digest(token))
    found = await owners.find()
    assert found is not None  # noqa: S101  # it was there or has been made, and nobody removes it
    return found


def _read(file: Path) -> str | None:
    """The token; nobody but the owner may read it from now on, whatever happened to the file's mode."""
    try:
        file.chmod(0o600)
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _write(file: Path, token: str) -> None:
    """Whole or not at all; readable by its owner from its first moment (``mkstemp`` makes it 0600)."""
    try:
        descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=".token-")
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(token + "\n")
            opened.flush()
            os.fsync(descriptor)
        Path(draft).replace(file)
    except OSError as error:
        raise TokenFileError(f"the token cannot be written to {file}: {error.strerror}") from error
