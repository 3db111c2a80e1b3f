"""Sending one file, again when the network or the gallery was away for a moment."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
ALL_REFUSED = frozenset({"quota_reached", "place_refused"})
"""Codes with which every other file would be refused as well."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file at the upload.

    Attributes:
        status: ``accepted``, ``already_stored`` or ``rejected``.
        photo: Its id, unless it was rejected.
        code: Why it was rejected.
        detail: The same as a sentence.
        sha256: Of what is stored, in hex, where the gallery says it.
    """

    status: str
    photo: str | None = None
    code: str = ""
    detail: str = ""
    sha256: str | None = None


def stored(connection: Connection, digests: Sequence[str]) -> Mapping[str, str]:
    """Return the photos by digest of those that are stored."""
    if not digests:
        return {}
    known: Mapping[str, str] = connection.ask("POST", "/uploads/exists", json={"sha256": digests})["known"]
    return known


def fields_of(source: Source, *, lane: str, said: Said | None, digest: str | None = None) -> dict[str, str]:
    """Return what is said of a file, as in the form."""
    fields = {"path": source.file, "lane": lane}
    if digest is not None:
        fields["sha256"] = digest
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
    try:
        answer, again = until_answered(lambda: _post(connection, fields, source), what=source.file)
    except UnreadableSourceError as error:
        return Sent("rejected", code="unreadable", detail=str(error))
    if answer.is_error:
        raise refusal(answer)
    (entry,) = answer.json()["uploads"]
    return told(entry, again=again)


def until_answered(post: Callable[[], httpx.Response], *, what: str) -> tuple[httpx.Response, bool]:
    """Ask until there is an answer, be it a refusal; and say whether it was asked more than once.

    Raises:
        UnreachableError: The gallery stays away.
        NoRoomError: It has no room.
    """
    reason = ""
    for attempt in range(ATTEMPTS):
        time.sleep(pause_before(attempt))
        try:
            answer = post()
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            continue
        if is_full(answer):
            raise NoRoomError
        if answer.status_code not in TRY_AGAIN:
            return answer, attempt > 0
        reason = str(refusal(answer))
    raise UnreachableError(f"{what} could not be sent ({reason}): run the import again, it goes on where it stopped")


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
        CommandError: Every other file would be refused as well.
    """
    code = entry.get("code") or ""
    if code in ALL_REFUSED:
        raise CommandError(f"{entry['detail']}; the import goes on where it stopped")
    status = "accepted" if again and entry["status"] == "already_stored" else entry["status"]
    return Sent(status, entry.get("photo"), code, entry.get("detail") or "", entry.get("sha256"))


def announced(fields: Mapping[str, str]) -> dict[str, Any]:
    """Say in JSON what is said of a file in the form."""
    return {**fields, "said": json.loads(fields["said"])} if "said" in fields else dict(fields)
