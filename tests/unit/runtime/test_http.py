import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import httpx
import pytest
import structlog
from fastapi import APIRouter, Query, Request
from hypothesis import given
from hypothesis import strategies as st
from psycopg.errors import DiskFull
from pydantic import BaseModel
from starlette.responses import Response

from gallery.ports.blobs import BlobNotFoundError, BlobStoreFullError, BlobStoreUnavailableError
from gallery.runtime import logs
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.background import background
from gallery.runtime.http import ProblemError, create_app, forward_context, listen, serve
from gallery.runtime.ranges import Content, ranged

CONTENT = bytes(range(256)) * 4
router = APIRouter()


class Guest(BaseModel):
    name: str


@router.get("/problem")
async def a_problem() -> None:
    raise ProblemError(422, "bad_query", "Expected a word.", position=3)


@router.get("/fault")
async def a_fault() -> None:
    raise ZeroDivisionError


@router.get("/full")
async def a_full_disk() -> None:
    raise DiskFull("could not extend file")


@router.get("/blobs/{fault}")
async def a_store(fault: str) -> None:
    raise {"full": BlobStoreFullError, "shut": BlobStoreUnavailableError, "lost": BlobNotFoundError}[fault](fault)


@router.post("/guests")
async def guests(guest: Guest, limit: Annotated[int, Query(ge=1)]) -> dict[str, str | int]:
    return {"name": guest.name, "limit": limit}


@router.get("/bound")
async def bound() -> dict[str, str]:
    return {"request_id": structlog.contextvars.get_contextvars()["request_id"]}


@router.get("/content")
async def content(request: Request) -> Response:
    async def read(start: int, length: int) -> AsyncIterator[bytes]:
        for at in range(start, start + length, 100):
            yield CONTENT[at : min(at + 100, start + length)]

    return await ranged(request, Content(size=len(CONTENT), etag="abc", media_type="image/jpeg", read=read))


@router.get("/lost")
async def lost(request: Request) -> Response:
    async def read(_start: int, _length: int) -> AsyncIterator[bytes]:
        if not CONTENT.startswith(b"photo"):
            raise ProblemError(404, "not_found", "There is no such photo.")
        yield CONTENT

    return await ranged(request, Content(size=5, etag="abc", media_type="image/jpeg", read=read))


async def healthy() -> dict[str, bool]:
    return {"database": True}


async def ill() -> dict[str, bool]:
    return {"database": True, "bus": False}


async def broken() -> dict[str, bool]:
    raise ConnectionError


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(title="Test", routers=[router], ready=healthy)
    async with httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://test") as client:
        yield client


async def test_a_problem_is_a_document(client: httpx.AsyncClient) -> None:
    answer = await client.get("/problem")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:gallery:problem:bad_query",
        "title": "Bad query",
        "status": 422,
        "code": "bad_query",
        "detail": "Expected a word.",
        "position": 3,
    }


async def test_invalid_input_is_a_problem_that_does_not_repeat_it(client: httpx.AsyncClient) -> None:
    answer = await client.post("/guests?limit=0", json={"nam": "Anna Berg"})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid_request"
    assert {".".join(each["where"]) for each in problem["errors"]} == {"body.name", "query.limit"}
    assert "Anna" not in answer.text


async def test_body_that_is_not_json(client: httpx.AsyncClient) -> None:
    answer = await client.post("/guests?limit=1", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/problem", 405, "method_not_allowed"),
        ("GET", "/fault", 500, "internal_error"),
        ("GET", "/full", 503, "storage_full"),
        ("GET", "/blobs/full", 503, "storage_full"),
        ("GET", "/blobs/shut", 503, "storage_away"),
        ("GET", "/blobs/lost", 500, "object_missing"),
        ("GET", "/lost", 404, "not_found"),
    ],
)
async def test_all_other_errors_are_problems(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["x-request-id"]


async def test_a_request_id_is_taken_over_bound_and_returned(client: httpx.AsyncClient) -> None:
    answer = await client.get("/bound", headers={"x-request-id": "0123456789abcdef"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "0123456789abcdef"
    forged = await client.get("/bound", headers={"x-request-id": "x y\tlevel=error"})
    assert forged.json()["request_id"] == forged.headers["x-request-id"] != "x y\tlevel=error"


async def test_a_request_id_goes_on_to_the_next_service(client: httpx.AsyncClient) -> None:
    client.event_hooks = {"request": [forward_context]}
    with structlog.contextvars.bound_contextvars(request_id="fedcba9876543210"):
        assert (await client.get("/bound")).json()["request_id"] == "fedcba9876543210"


@pytest.mark.parametrize(("ready", "status"), [(None, 200), (healthy, 200), (ill, 503), (broken, 503)])
async def test_health(ready: object, status: int) -> None:
    app = create_app(title="Test", routers=[], ready=ready)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
        answer = await client.get("/health/ready")
    assert answer.status_code == status
    assert answer.json()["status"] == ("ready" if status == 200 else "not_ready")


# Ranges


async def test_the_whole_content(client: httpx.AsyncClient) -> None:
    answer = await client.get("/content")
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["etag"] == '"abc"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == "1024"
    assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=1000-", 206, slice(1000, 1024)),
        ("bytes=1000-99999", 206, slice(1000, 1024)),
        ("bytes=-24", 206, slice(1000, 1024)),
        ("bytes=-99999", 206, slice(0, 1024)),
        ("bytes=1023-1023", 206, slice(1023, 1024)),
        ("bytes=1024-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=9-3", 200, slice(0, 1024)),
        ("bytes=-", 200, slice(0, 1024)),
        ("bytes=0-1,5-6", 200, slice(0, 1024)),
        ("lines=0-1", 200, slice(0, 1024)),
    ],
)
async def test_a_range(client: httpx.AsyncClient, wanted: str, status: int, part: slice | None) -> None:
    answer = await client.get("/content", headers={"range": wanted})
    assert answer.status_code == status
    if part is None:
        assert answer.headers["content-range"] == "bytes */1024"
        assert answer.json()["code"] == "range_not_satisfiable"
        return
    assert answer.content == CONTENT[part]
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {part.start}-{part.stop - 1}/1024"


@given(first=st.integers(0, 1100), last=st.integers(0, 1100))
def test_any_range_is_what_a_slice_is(first: int, last: int) -> None:
    async def story() -> None:
        app = create_app(title="Test", routers=[router])
        async with httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://test") as client:
            answer = await client.get("/content", headers={"range": f"bytes={first}-{last}"})
        if last < first:
            assert (answer.status_code, answer.content) == (200, CONTENT)
        elif first >= 1024:
            assert answer.status_code == 416
        else:
            assert (answer.status_code, answer.content) == (206, CONTENT[first : last + 1])

    asyncio.run(story())


@pytest.mark.parametrize("known", ['"abc"', 'W/"abc"', '"x", "abc"', "*"])
async def test_what_the_client_has_is_not_sent_again(client: httpx.AsyncClient, known: str) -> None:
    answer = await client.get("/content", headers={"if-none-match": known})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == '"abc"'


@pytest.mark.parametrize(("validator", "status"), [('"abc"', 206), ('"old"', 200), ('W/"abc"', 200)])
async def test_a_range_of_another_version_is_answered_whole(
    client: httpx.AsyncClient, validator: str, status: int
) -> None:
    answer = await client.get("/content", headers={"range": "bytes=0-9", "if-range": validator})
    assert answer.status_code == status


# The server


async def test_serving_ends_when_cancelled_and_frees_the_port() -> None:
    listener = listen()
    port = listener.getsockname()[1]
    app = create_app(title="Test", routers=[router])
    async with background(web=serve(app, listener=listener)), httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/health/live")).json()["status"] == "alive"
        with pytest.raises(OSError, match="in use"):
            listen(port=port)
    listen(port=port).close()


async def test_serving_on_a_unix_socket_that_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    app = create_app(title="Test", routers=[router])
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with background(web=serve(app, listener=listen(uds=path))), httpx.AsyncClient(transport=transport) as client:
        assert (await client.get("http://gallery/content")).content == CONTENT
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(OSError, match="another process serves"):
            listen(uds=path)
    listen(uds=path).close()


async def test_background_work_that_fails_ends_the_block_with_its_error() -> None:
    async def fail() -> None:
        raise LookupError("no such topic")

    stopped = asyncio.Event()

    async def loop_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(LookupError, match="no such topic"):
        async with background(relay=fail(), sweep=loop_for_ever()):
            await asyncio.Event().wait()
    assert stopped.is_set()


async def test_an_error_of_the_block_leaves_it_as_it_is_and_stops_the_work() -> None:
    stopped = asyncio.Event()

    async def loop_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def block() -> None:
        async with background(sweep=loop_for_ever()):
            await asyncio.sleep(0)
            raise KeyError(1)

    with pytest.raises(KeyError):
        await block()
    assert stopped.is_set()


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging_restored")
def test_logs_carry_bound_ids_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(json=True)
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        logs.get_logger("test").info("photo stored", size=3)
        logging.getLogger("library").warning("from %s", "elsewhere")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["request_id"], ours["size"], ours["level"]) == ("photo stored", "r1", 3, "info")
    assert (theirs["event"], theirs["request_id"], theirs["level"]) == ("from elsewhere", "r1", "warning")
