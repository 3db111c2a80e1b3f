import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gallery.runtime.asgi_transport import AsgiTransport

PIECE = b"x" * 65_536
PIECES = 800  # 50 MB
seen: dict[str, asyncio.Event] = {}


async def count(request: Request) -> Response:
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
    return PlainTextResponse(str(total))


async def echo(request: Request) -> Response:
    return StreamingResponse(request.stream())


async def endless(_request: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield PIECE
        finally:
            seen["ended"].set()

    return StreamingResponse(body())


async def stuck(_request: Request) -> Response:
    seen["begun"].set()
    try:
        await asyncio.Event().wait()
    finally:
        seen["ended"].set()
    return Response()


async def half(_request: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"half of"
        raise ZeroDivisionError

    return StreamingResponse(body())


async def fails(_request: Request) -> Response:
    raise ZeroDivisionError


async def told(request: Request) -> Response:
    try:
        async for _ in request.stream():
            pass
    except ClientDisconnect:
        seen["ended"].set()
        raise
    return Response()


async def afterwards(_request: Request) -> Response:
    async def work() -> None:
        await asyncio.sleep(0)
        seen["ended"].set()

    return PlainTextResponse("done", background=BackgroundTask(work))


async def asked(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {request.url} {request.headers['x-word']} {request.query_params['q']}")


ROUTES = [count, echo, endless, stuck, half, fails, told, afterwards, asked]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    seen.update({name: asyncio.Event() for name in ("begun", "ended")})
    app = Starlette(routes=[Route(f"/{each.__name__}", each, methods=["GET", "POST"]) for each in ROUTES])
    async with httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://upload") as client:
        yield client


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(PIECES):
        yield bytes(PIECE)


async def test_a_request_arrives_as_it_was_sent(client: httpx.AsyncClient) -> None:
    answer = await client.post("/asked?q=caf%C3%A9%20x", headers={"X-Word": "yes"}, content=b"")
    assert answer.text == "POST http://upload/asked?q=caf%C3%A9%20x yes café x"


async def test_fifty_megabytes_up_and_down_in_the_memory_of_a_few_pieces(client: httpx.AsyncClient) -> None:
    total = 0
    tracemalloc.start()
    try:
        async with client.stream("POST", "/echo", content=pieces()) as answer:
            async for chunk in answer.aiter_bytes():
                total += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == PIECES * len(PIECE)
    assert peak < 2_000_000


async def test_a_body_is_counted(client: httpx.AsyncClient) -> None:
    assert (await client.post("/count", content=pieces())).text == str(PIECES * len(PIECE))


async def test_a_reader_that_stops_stops_the_app(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/endless") as answer:
        assert (await anext(answer.aiter_bytes()))[:1] == b"x"
    await asyncio.wait_for(seen["ended"].wait(), 5)


async def test_a_slow_reader_slows_the_app_down(client: httpx.AsyncClient) -> None:
    taken = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 1000:
            taken += 1
            yield PIECE

    async with client.stream("POST", "/echo", content=upload()) as answer:
        await anext(answer.aiter_raw())
        for _ in range(100):
            await asyncio.sleep(0)
        assert taken < 10


async def test_a_cancelled_caller_cancels_the_app(client: httpx.AsyncClient) -> None:
    asking = asyncio.create_task(client.get("/stuck"))
    await seen["begun"].wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert seen["ended"].is_set()


@pytest.mark.parametrize("path", ["/half", "/fails"])
async def test_an_app_that_fails_looks_like_a_broken_connection(path: str) -> None:
    app = Starlette(routes=[Route("/half", half)])

    async def raw(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/fails":
            raise ZeroDivisionError
        await app(scope, receive, send)

    async with httpx.AsyncClient(transport=AsgiTransport(raw), base_url="http://upload") as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(path)


async def test_an_upload_that_fails_tells_the_app_and_comes_back(client: httpx.AsyncClient) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield PIECE
        raise ConnectionResetError("the browser went away")

    with pytest.raises(ConnectionResetError, match="browser"):
        await client.post("/told", content=broken())
    assert seen["ended"].is_set()


async def test_work_after_the_answer_goes_on(client: httpx.AsyncClient) -> None:
    assert (await client.get("/afterwards")).text == "done"
    await asyncio.wait_for(seen["ended"].wait(), 5)


async def test_many_at_once(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/count", content=b"x" * number) for number in range(200)))
    assert [answer.text for answer in answers] == [str(number) for number in range(200)]


async def test_closing_ends_what_still_runs() -> None:
    seen.update({name: asyncio.Event() for name in ("begun", "ended")})
    transport = AsgiTransport(Starlette(routes=[Route("/stuck", stuck)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://upload") as client:
        asking = asyncio.create_task(client.get("/stuck"))
        await seen["begun"].wait()
    assert seen["ended"].is_set()
    with pytest.raises(httpx.RemoteProtocolError):
        await asking
