"""Binary answers with strong ETags and byte ranges (RFC 9110, sections 13 and 14)."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gallery.runtime.http import ProblemError, problem

Reader = Callable[[int, int], AsyncIterator[bytes]]
"""Streams ``length`` bytes from ``start``."""

_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*")


@dataclass(frozen=True, slots=True)
class Content:
    """What is served.

    Attributes:
        size: Bytes.
        etag: Strong validator without quotes, such as the sha256 in hex.
        media_type: Such as ``image/jpeg``.
        read: Streams a part of it.
    """

    size: int
    etag: str
    media_type: str
    read: Reader


async def ranged(request: Request, content: Content, *, cache_control: str = "private, max-age=0") -> Response:
    """Answer a request for these bytes: 200, 206, 304 or 416.

    Several ranges at once are answered whole, as the RFC allows. Whatever the reader raises on its first step is raised
    here, before anything is sent.
    """
    etag = f'"{content.etag}"'
    headers = {
        "etag": etag,
        "accept-ranges": "bytes",
        "cache-control": cache_control,
        "x-content-type-options": "nosniff",  # the bytes are whatever a user gave us
    }
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    start, length = 0, content.size
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    status = 200
    if wanted and request.headers.get("if-range", etag) == etag:
        part = _part(wanted[1], wanted[2], content.size)
        if part is None:
            return _unsatisfiable(content.size, headers)
        if part != "whole":
            start, length = part
            status = 206
            headers["content-range"] = f"bytes {start}-{start + length - 1}/{content.size}"
    headers["content-length"] = str(length)
    if request.method == "HEAD" or length == 0:
        return Response(status_code=status, headers=headers, media_type=content.media_type)
    body = await _opened(content.read(start, length))
    return StreamingResponse(body, status_code=status, headers=headers, media_type=content.media_type)


def _matches(header: str | None, etag: str) -> bool:
    """If-None-Match, compared weakly as RFC 9110 section 13.1.2 asks."""
    if header is None:
        return False
    return header.strip() == "*" or etag in {each.strip().removeprefix("W/") for each in header.split(",")}


def _part(first: str, last: str, size: int) -> tuple[int, int] | Literal["whole"] | None:
    """(start, length) of a range; ``whole`` for what is no range and is ignored; None for what cannot be had."""
    if not first:
        if not last:
            return "whole"
        suffix = min(int(last), size)
        return (size - suffix, suffix) if suffix else None
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return "whole"
    return (start, end - start + 1) if start < size else None


def _unsatisfiable(size: int, headers: dict[str, str]) -> Response:
    answer = problem(ProblemError(416, "range_not_satisfiable", f"The content has {size} bytes."))
    answer.headers.update(headers | {"content-range": f"bytes */{size}", "cache-control": "no-store"})
    return answer


async def _opened(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Take the first step, so that an object that is not there is known before the status line is sent."""
    first = await anext(chunks, b"")

    async def rest() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return rest()
