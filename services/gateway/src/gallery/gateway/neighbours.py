"""Asking the other services on behalf of one library."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import httpx
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from gallery.runtime.http import ProblemError

ASKED = ("if-none-match", "if-range", "range")
"""Headers of a request for bytes that matter to whoever has them."""

ANSWERED = (
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "x-content-type-options",
)
"""Headers of such an answer that are handed on."""

SERVER_ERROR = 500


class Neighbour:
    """One service, asked by HTTP.

    Args:
        name: For what is said when it does not answer.
        client: Its base URL is the service's.
    """

    def __init__(self, name: str, client: httpx.AsyncClient) -> None:
        self.name = name
        self._client = client

    async def ask(
        self,
        method: str,
        path: str,
        *,
        library: UUID | None = None,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the JSON it answers.

        The path lies below ``/internal/v1``, or below the library there when one is given. Of ``params``, those that
        are None are left out.

        Raises:
            ProblemError: The service's own, handed on; 503 when it does not answer.
        """
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            answer = await self._client.request(
                method, self._place(path, library), json=json, params=given, timeout=None
            )
        except httpx.TransportError as error:
            raise self.silent() from error
        self.raise_problem(answer)
        return answer.json()

    async def send(
        self, path: str, chunks: AsyncIterator[bytes], *, library: UUID, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Stream a body to it; the answer may be a problem.

        Raises:
            ProblemError: 503, it does not answer.
        """
        try:
            return await self._client.post(
                self._place(path, library), content=chunks, headers=dict(headers), timeout=None
            )
        except httpx.TransportError as error:
            raise self.silent() from error

    async def bytes(self, request: Request, path: str, *, library: UUID) -> Response:
        """Hand on an answer of bytes as it arrives, with its validators and ranges.

        Raises:
            ProblemError: As for ``ask``.
        """
        asked = {name: request.headers[name] for name in ASKED if name in request.headers}
        question = self._client.build_request(request.method, self._place(path, library), headers=asked)
        try:
            answer = await self._client.send(question, stream=True)
        except httpx.TransportError as error:
            raise self.silent() from error
        if answer.is_error:
            await answer.aread()
            self.raise_problem(answer)
        headers = {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
        return StreamingResponse(_raw(answer), answer.status_code, headers)

    def raise_problem(self, answer: httpx.Response) -> None:
        """Hand on the problem of an answer, if it is one."""
        if not answer.is_error:
            return
        document = problem_of(answer)
        if "code" not in document or (answer.status_code >= SERVER_ERROR and document["code"] == "internal_error"):
            raise ProblemError(502, "service_failed", f"{self.name} could not answer; the log says why.")
        extra = {
            name: value for name, value in document.items() if name not in {"type", "title", "status", "code", "detail"}
        }
        raise ProblemError(answer.status_code, document["code"], document.get("detail", ""), **extra)

    def silent(self) -> ProblemError:
        """Say that it does not answer."""
        return ProblemError(503, "service_unavailable", f"{self.name} does not answer; try again in a moment.")

    def _place(self, path: str, library: UUID | None) -> str:
        return f"/internal/v1{path}" if library is None else f"/internal/v1/libraries/{library}{path}"


class Neighbours:
    """The four services behind the gateway."""

    def __init__(self, clients: Mapping[str, httpx.AsyncClient]) -> None:
        self.upload = Neighbour("upload", clients["upload"])
        self.metadata = Neighbour("metadata", clients["metadata"])
        self.ml_worker = Neighbour("ml-worker", clients["ml_worker"])
        self.search = Neighbour("search", clients["search"])


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem document of an answer; empty when it has none."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


async def _raw(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The bytes as they come; the answerer is let go even when the client leaves in the middle."""
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
