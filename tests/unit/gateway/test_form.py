"""Multipart forms, cut into pieces as a network cuts them."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from starlette.types import Message

from gallery.gateway.errors import BadFormError
from gallery.gateway.form import Form, boundary_of

BOUNDARY = b"ourboundary"


def encoded(parts: Iterable[tuple[str, bytes]]) -> bytes:
    lines = b""
    for name, content in parts:
        lines += b"--" + BOUNDARY + b'\r\ncontent-disposition: form-data; name="' + name.encode() + b'"\r\n\r\n'
        lines += content + b"\r\n"
    return lines + b"--" + BOUNDARY + b"--\r\n"


class Client:
    """Sends a body in pieces, and knows how many were asked for."""

    def __init__(self, body: bytes, *, piece: int, stays: bool = True) -> None:
        self._pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
        self._stays = stays
        self.sent = 0

    async def receive(self) -> Message:
        if self.sent == len(self._pieces):
            return {"type": "http.disconnect"}
        self.sent += 1
        more = self.sent < len(self._pieces) or not self._stays
        return {"type": "http.request", "body": self._pieces[self.sent - 1], "more_body": more}


def form_of(body: bytes, *, piece: int = 1000, stays: bool = True) -> tuple[Form, Client]:
    client = Client(body, piece=piece, stays=stays)
    return Form(client.receive, boundary=BOUNDARY), client


names = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)
contents = st.binary(max_size=300) | st.just(b"\r\n--ourbound") | st.just(b"\r\n" * 50) | st.just(b"--ourboundary")


@given(st.lists(st.tuples(names, contents), max_size=5), st.integers(1, 400))
async def test_parts_come_out_as_they_went_in_however_they_are_cut(parts: list[tuple[str, bytes]], piece: int) -> None:
    form, _ = form_of(encoded(parts), piece=piece)
    read = [(part.name, b"".join([chunk async for chunk in part.chunks()])) async for part in form.parts()]
    assert read == parts


@given(st.integers(0, 3), st.integers(1, 400))
async def test_what_a_reader_leaves_is_passed_over(chunks_read: int, piece: int) -> None:
    form, _ = form_of(encoded([("first", b"1" * 1000), ("second", b"2")]), piece=piece)
    read = []
    async for part in form.parts():
        if part.name == "first":
            for _ in range(chunks_read):
                await form.next_chunk()
        else:
            read.append(await part.text())
    assert read == ["2"]


async def test_nothing_is_pulled_before_it_is_asked_for() -> None:
    form, client = form_of(encoded([("file", bytes(100_000))]), piece=1000)
    parts = form.parts()
    part = await anext(parts)
    assert client.sent == 1
    chunks = part.chunks()
    await anext(chunks)
    await anext(chunks)
    assert client.sent <= 3


@pytest.mark.parametrize("cut", [5, 60, 500])
async def test_a_form_that_ends_too_early_is_refused(cut: int) -> None:
    form, _ = form_of(encoded([("file", bytes(1000))])[:cut])
    with pytest.raises(BadFormError):
        _ = [await part.text() async for part in form.parts()]


async def test_a_client_that_goes_away_is_noticed() -> None:
    form, _ = form_of(encoded([("file", bytes(1000))])[:500], stays=False)
    with pytest.raises(ClientDisconnect):
        _ = [await part.text() async for part in form.parts()]


@pytest.mark.parametrize("body", [b"not a form", b"--other\r\n\r\n", b"--ourboundary\r\nno header\r\n\r\n"])
async def test_what_is_no_form_is_refused(body: bytes) -> None:
    form, _ = form_of(body)
    with pytest.raises(BadFormError):
        _ = [await part.text() async for part in form.parts()]


async def test_a_field_has_a_limit() -> None:
    form, _ = form_of(encoded([("path", b"a" * 10_000)]))
    with pytest.raises(BadFormError, match="too long"):
        _ = [await part.text() async for part in form.parts()]


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=a"])
def test_only_forms_are_read(content_type: str) -> None:
    with pytest.raises(BadFormError):
        boundary_of(content_type)


def test_the_boundary_is_read_from_the_header() -> None:
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"
