"""A process says whether it gets on, and what holds it up."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from structlog.testing import capture_logs
from support.measured import page

from gallery.runtime import liveness
from gallery.runtime.background import background
from gallery.runtime.http import create_app


async def alive() -> httpx.Response:
    transport = httpx.ASGITransport(create_app(title="a service", routers=[]))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.get("/health/live")


async def test_a_step_that_takes_too_long_is_seen_until_it_ends() -> None:
    with liveness.step("reading", at_most=timedelta(minutes=1)):
        assert (await alive()).status_code == 200
    with liveness.step("grouping", at_most=timedelta(0)):
        answer = await alive()
        assert (answer.status_code, answer.json()) == (503, {"status": "stuck", "steps": ["grouping"]})
    assert (await alive()).json() == {"status": "alive", "steps": []}


async def test_a_step_that_fails_is_over() -> None:
    with pytest.raises(ValueError, match="no"), liveness.step("reading", at_most=timedelta(0)):
        raise ValueError("no")
    assert liveness.stuck() == []


async def test_what_is_stuck_is_told_once_with_where_every_task_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "LOOK_EVERY", timedelta(milliseconds=1))
    never = asyncio.Event()

    async def held_up(name: str) -> None:
        with liveness.step(name, at_most=timedelta(0)):
            await never.wait()

    with capture_logs() as logs:
        async with background(watch=liveness.watch(), first=held_up("first")), asyncio.timeout(5):
            await until(lambda: len(logs) == 1)
            async with background(second=held_up("second")):
                await until(lambda: logs[-1]["step"] == "second")
                assert (await page()).value("gallery_stuck_steps") == 2
    assert [told["step"] for told in logs] == ["first", "second"]
    standing = [place.split()[0].rsplit(".", 1)[-1] for place in logs[0]["tasks"]["first"]]
    assert standing[-2:] == ["held_up", "wait"]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # a log has no event
        await asyncio.sleep(0.001)
