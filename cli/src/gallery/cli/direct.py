"""Sending a large file straight to the store of its gallery; what a broken connection has cut off goes on."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from gallery.cli.connection import Connection, is_full, problem_of, refusal
from gallery.cli.errors import NoRoomError, UnreachableError
from gallery.cli.found import Source
from gallery.cli.reading import UnreadableSourceError, pieces
from gallery.cli.sending import ATTEMPTS, TRY_AGAIN, Sent, announced, pause_before, told

LARGE = 100_000_000
"""Bytes. What is smaller is sent by the form: one request, and sent again from its beginning in seconds."""
STORE_ANSWERS_WITHIN = httpx.Timeout(120, connect=5)
UNTIL_CHECKED = httpx.Timeout(None, connect=5)
"""A film is read again before it is taken."""
UNAUTHORIZED = 401

_FORM_ONLY = "no_direct_uploads"
_CHECKING = "still_checking"
_GOES_ON = frozenset({"parts_missing", "unknown_upload"})


class _AgainError(Exception):
    """Another attempt may help; the message says what happened."""


class _CheckingError(_AgainError):
    """It is being looked at, by an attempt whose answer did not come through."""


class _RefusedError(Exception):
    """The gallery does not take the file.

    Attributes:
        problem: Its document.
    """

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(problem.get("detail"))
        self.problem = problem


def send_directly(connection: Connection, source: Source, fields: Mapping[str, str]) -> Sent | None:
    """Send one file; None where only the form is left: the gallery has no such store, or it is out of reach from here.

    Args:
        connection: To the gallery.
        source: The file.
        fields: What is said of it, as in the form.

    Raises:
        UnreachableError: Gallery or store stay away, in the middle of it.
        NoRoomError: It has no room for this file.
        CommandError: It refuses more than this file.
    """
    sending = _Sending(connection, source, {**announced(fields), "size": source.size})
    attempt, reason = 0, ""
    with httpx.Client(timeout=STORE_ANSWERS_WITHIN) as store:
        while attempt < ATTEMPTS:
            time.sleep(pause_before(attempt))
            sent = sending.sent
            try:
                return sending.attempt(store)
            except UnreadableSourceError as error:
                return Sent("rejected", code="unreadable", detail=str(error))
            except _RefusedError as error:
                if error.problem["code"] == _FORM_ONLY:
                    return None
                return told({**error.problem, "status": "rejected"}, again=False)
            except (_AgainError, httpx.TransportError) as error:
                reason = str(error) or type(error).__name__
                moved = sending.sent > sent or isinstance(error, _CheckingError)
                attempt = 1 if moved else attempt + 1
    if not sending.sent:
        return None
    raise UnreachableError(
        f"{source.file} could not be sent ({reason}): run the import again, it goes on where it stopped"
    )


class _Sending:
    """One file under way.

    Attributes:
        sent: Parts that arrived, of the whole file.
    """

    def __init__(self, connection: Connection, source: Source, announced: Mapping[str, Any]) -> None:
        self.sent = 0
        self._connection = connection
        self._source = source
        self._announced = announced
        self._completing = False

    def attempt(self, store: httpx.Client) -> Sent:
        """Begin or go on, to the end.

        Raises:
            httpx.TransportError: Gallery or store do not answer.
        """
        upload = self._ask("", self._announced)
        if upload["status"] != "open":
            return told(upload, again=self._completing)
        self.sent = len(upload["sent"])
        missing = set(range(1, upload["parts"] + 1)).difference(upload["sent"])
        for number, content in enumerate(_cut(self._source, upload["part_size"]) if missing else (), start=1):
            if number in missing:
                self._send(store, upload["id"], number, content)
        self._completing = True
        return told(self._ask(f"/{upload['id']}/complete", {}, timeout=UNTIL_CHECKED), again=False)

    def _send(self, store: httpx.Client, upload: str, number: int, content: bytes) -> None:
        part = {"number": number, "sha256": hashlib.sha256(content).hexdigest()}
        (request,) = self._ask(f"/{upload}/parts", {"parts": [part]})["requests"]
        answer = store.request(request["method"], request["url"], content=content, headers=request["headers"])
        if not answer.is_success:
            raise _AgainError(f"the store answered {answer.status_code}")
        self.sent += 1

    def _ask(self, path: str, question: Mapping[str, Any], **options: Any) -> Any:
        answer = self._connection.client.post(f"/api/v1/uploads/direct{path}", json=question, **options)
        if answer.is_success:
            return answer.json()
        if is_full(answer):
            raise NoRoomError
        problem = problem_of(answer)
        code = problem.get("code")
        if code == _CHECKING:
            raise _CheckingError(str(refusal(answer)))
        if code in _GOES_ON or answer.status_code in TRY_AGAIN:
            raise _AgainError(str(refusal(answer)))
        if not code or answer.status_code == UNAUTHORIZED:
            raise refusal(answer)
        raise _RefusedError(problem)


def _cut(source: Source, size: int) -> Iterator[bytes]:
    """Yield the content in parts of one size; the last may be shorter."""
    part = bytearray()
    for piece in pieces(source):
        part += piece
        while len(part) >= size:
            yield bytes(part[:size])
            del part[:size]
    if part:
        yield bytes(part)
