"""Sending one file, again when the network or the gallery was away for a moment."""

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from gallery.cli.connection import AWAY, Connection, is_full, refusal
from gallery.cli.errors import CommandError, NoRoomError, UnreachableError
from gallery.cli.found import Source
from gallery.cli.reading import UnreadableSourceError, pieces
from gallery.cli.takeout import Said, as_field

ATTEMPTS = 6
"""With pauses that double from a quarter of a second, about eight seconds of a bad network."""
FIRST_PAUSE_SECONDS = 0.25
TRY_AGAIN = AWAY | {429}
QUOTA_REACHED = "quota_reached"


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file at the upload.

    Attributes:
        status: ``accepted``, ``already_stored`` or ``rejected``.
        photo: Its id, unless it was rejected.
        code: Why it was rejected.
        detail: The same as a sentence.
    """

    status: str
    photo: str | None = None
    code: str = ""
    detail: str = ""


def fields_of(source: Source, *, digest: str, lane: str, said: Said | None) -> dict[str, str]:
    """Return what is said of a file, as in the form."""
    fields = {"path": source.file, "sha256": digest, "lane": lane}
    if source.modified is not None:
        fields["modified"] = source.modified.isoformat()
    if said is not None:
        fields["said"] = as_field(said)
    return fields


def pause_before(attempt: int) -> float:
    """Return the seconds to wait before an attempt, which count from 0."""
    return FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) if attempt else 0


def send(connection: Connection, source: Source, fields: Mapping[str, str]) -> Sent:
    """Send one file, with what is said of it.

    What was stored by an attempt whose answer got lost counts as accepted: it was not there before.

    Raises:
        UnreachableError: The gallery stays away.
        NoRoomError: It has no room for this file.
        CommandError: It refuses more than this file, as when the library has reached its quota.
    """
    reason = ""
    for attempt in range(ATTEMPTS):
        time.sleep(pause_before(attempt))
        try:
            answer = _post(connection, fields, source)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            continue
        except UnreadableSourceError as error:
            return Sent("rejected", code="unreadable", detail=str(error))
        if answer.is_success:
            (entry,) = answer.json()["uploads"]
            return told(entry, again=attempt > 0)
        if is_full(answer):
            raise NoRoomError
        if answer.status_code not in TRY_AGAIN:
            raise refusal(answer)
        reason = str(refusal(answer))
    raise UnreachableError(
        f"{source.file} could not be sent ({reason}): run the import again, it goes on where it stopped"
    )


def _post(connection: Connection, fields: Mapping[str, str], source: Source) -> httpx.Response:
    boundary = secrets.token_hex(16)
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return connection.client.post("/api/v1/uploads", content=_form(boundary, fields, source), headers=headers)


def _form(boundary: str, fields: Mapping[str, str], source: Source) -> Iterator[bytes]:
    """The form as it goes over the wire (RFC 7578), in pieces as large as they are read."""
    for name, value in fields.items():
        yield f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    yield f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="file"\r\n\r\n'.encode()
    yield from pieces(source)
    yield f"\r\n--{boundary}--\r\n".encode()


def told(entry: Mapping[str, Any], *, again: bool) -> Sent:
    """Read what the gallery says has become of a file.

    Args:
        entry: Its words.
        again: Whether an attempt before may have stored it.

    Raises:
        CommandError: The library has reached its quota.
    """
    if entry.get("code") == QUOTA_REACHED:
        raise CommandError(f"{entry['detail']}; the import goes on where it stopped")
    status = "accepted" if again and entry["status"] == "already_stored" else entry["status"]
    return Sent(status, entry.get("photo"), entry.get("code") or "", entry.get("detail") or "")
