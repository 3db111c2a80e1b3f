"""A multipart form read as it arrives: nothing is kept whole, nothing is written to disk."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gallery.gateway.errors import BadFormError

LONGEST_FIELD = 8192
"""Bytes of a field that is no file; the longest is a path of 1,024 bytes, more when it is not plain text."""

_END: Final = None


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that the Content-Type header names.

    Raises:
        BadFormError: It is no multipart form.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadFormError("uploads come as multipart/form-data")
    return options[b"boundary"]


class Part:
    """One part of a form. It must be read, or passed over by going on to the next, before anything behind it.

    Attributes:
        name: Of the field.
        filename: As the client gave it; None when this is no file.
    """

    def __init__(self, form: "Form", *, name: str, filename: str | None) -> None:
        self.name = name
        self.filename = filename
        self._form = form

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content as it arrives. Cancelling a reader loses nothing of what follows."""
        while (chunk := await self._form.next_chunk()) is not _END:
            yield chunk

    async def text(self) -> str:
        """Return the content of a short field.

        Raises:
            BadFormError: It is too long, or no UTF-8.
        """
        content = b""
        async for chunk in self.chunks():
            content += chunk
            if len(content) > LONGEST_FIELD:
                raise BadFormError(f"the field {self.name!r} is too long")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise BadFormError(f"the field {self.name!r} is not UTF-8") from error


class Form:
    """The parts of one request, in order. Pulls from the client only when its reader asks for more."""

    def __init__(self, receive: Receive, *, boundary: bytes) -> None:
        self._receive = receive
        self._opened: deque[Part] = deque()
        self._content: deque[bytes | None] = deque()  # None ends a part
        self._over = False
        self._finished = False
        self._inside = False
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part,
                "on_header_field": self._on_header_name,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": lambda: self._content.append(_END),
                "on_end": self._on_end,
            },
        )

    async def parts(self) -> AsyncIterator[Part]:
        """Yield the parts; what a reader left of one is passed over.

        Raises:
            BadFormError: Malformed, or it ends too early.
            ClientDisconnect: The client went away.
        """
        while True:
            while not self._opened:
                if self._over:
                    self._ended()
                    return
                await self._pull()
            self._inside = True
            yield self._opened.popleft()
            while self._inside:
                await self.next_chunk()

    async def next_chunk(self) -> bytes | None:
        """Return more of the current part; None once it is over."""
        while self._inside and not self._content:
            if self._over:
                raise BadFormError("the form ends in the middle of a part")
            await self._pull()
        if not self._inside:
            return _END
        chunk = self._content.popleft()
        self._inside = chunk is not _END
        return chunk

    async def _pull(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        try:
            self._parser.write(message.get("body", b""))
        except MultipartParseError as error:
            raise BadFormError("the form is malformed") from error
        self._over = not message.get("more_body", False)

    def _ended(self) -> None:
        if not self._finished:
            raise BadFormError("the form ends before its last boundary")

    def _on_part(self) -> None:
        self._disposition = b""
        self._header_name = self._header_value = b""

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode(errors="replace")
        filename = options.get(b"filename")
        self._opened.append(
            Part(self, name=name, filename=None if filename is None else filename.decode(errors="replace"))
        )

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data if start == 0 and end == len(data) else data[start:end])

    def _on_end(self) -> None:
        self._finished = True
