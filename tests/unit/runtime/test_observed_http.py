"""Requests are counted under their routes, timed, traced, and told on /metrics."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter
from starlette.responses import StreamingResponse
from support.measured import Growth, Page

from gallery.runtime import tracing
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.http import ProblemError, create_app
from gallery.runtime.neighbours import client as client_of

ROUTE = "/observed/{thing_id}"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
router = APIRouter(prefix="/observed")


@router.get("/endless")
async def endless() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"more"

    return StreamingResponse(parts())


@router.get("/{thing_id}")
async def thing(thing_id: str) -> dict[str, str]:
    if thing_id == "missing":
        raise ProblemError(404, "not_found", "There is no such thing.")
    if thing_id == "fault":
        raise ZeroDivisionError
    return {"trace": tracing.traceparent()}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(title="Test", routers=[router])
    async with client_of("http://test", transport=AsgiTransport(app)) as opened:
        yield opened


async def test_requests_are_counted_by_route_and_not_by_path(client: httpx.AsyncClient) -> None:
    began = time.perf_counter()
    async with Growth() as growth:
        for path in ("1", "2", "3", "missing", "fault"):
            await client.get(f"/observed/{path}")
        asked = {"route": ROUTE, "method": "GET"}
        counts = [await growth.of("gallery_http_requests_total", **asked, status=str(code)) for code in (200, 404, 500)]
        assert counts == [3, 1, 1]
        assert await growth.of("gallery_http_request_seconds_count", **asked) == 5
        assert 0 < await growth.of("gallery_http_request_seconds_sum", **asked) < time.perf_counter() - began


async def test_what_callers_make_up_makes_no_new_series(client: httpx.AsyncClient) -> None:
    async with Growth() as growth:
        for number in range(5):
            await client.get(f"/made/up/{number}")
            await client.request(f"MADEUP{number}", "/made/up")
            await client.request(f"MADEUP{number}", "/observed/1")
        unmatched = {"route": "unmatched", "status": "404"}
        assert await growth.of("gallery_http_requests_total", **unmatched, method="GET") == 5
        assert await growth.of("gallery_http_requests_total", **unmatched, method="OTHER") == 5
        assert await growth.of("gallery_http_requests_total", route=ROUTE, status="405", method="OTHER") == 5


async def test_a_caller_who_leaves_is_counted_too(client: httpx.AsyncClient) -> None:
    async with Growth() as growth:
        async with client.stream("GET", "/observed/endless") as answer:
            await anext(answer.aiter_raw())
        left = {"route": "/observed/endless", "method": "GET", "status": "200"}
        assert await growth.of("gallery_http_requests_total", **left) == 1


async def test_the_page_is_text_for_prometheus(client: httpx.AsyncClient) -> None:
    await client.get("/observed/1")
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    page = Page.parse(answer.text)
    assert (page.value("gallery_http_requests_total", route=ROUTE, method="GET", status="200") or 0) >= 1


async def test_a_trace_goes_on_in_the_service_that_is_asked(client: httpx.AsyncClient) -> None:
    with tracing.span("asking") as asking:
        answered = tracing.parse((await client.get("/observed/1")).json()["trace"])
    assert answered is not None
    assert answered.trace_id == asking.place.trace_id
    assert answered.span_id != asking.place.span_id


async def test_a_trace_from_outside_goes_on_and_nonsense_begins_one(client: httpx.AsyncClient) -> None:
    traced = (await client.get("/observed/1", headers={"traceparent": PARENT})).json()["trace"]
    assert traced.startswith(PARENT[:36])
    traced = (await client.get("/observed/1", headers={"traceparent": "nonsense"})).json()["trace"]
    assert tracing.parse(traced) is not None
