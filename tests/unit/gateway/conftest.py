"""A gateway over neighbours that are plain apps in memory."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request

from gallery.gateway.domain import Owner, digest
from gallery.gateway.main import build
from gallery.gateway.settings import GatewaySettings
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.http import ProblemError, create_app

TOKEN = "correct horse battery staple"  # noqa: S105 - opens nothing
LIBRARY = UUID("01990000-0000-7000-8000-000000000001")
INSIDE = f"/internal/v1/libraries/{LIBRARY}"


class FakeUpload:
    """Takes what is JPEG; remembers what came and how much of it was held at once."""

    def __init__(self) -> None:
        self.app: FastAPI = create_app(title="upload", routers=[], ready=None)
        self.files: dict[str, bytes] = {}
        self.headers: list[dict[str, str]] = []
        self.reject_early = False
        self.broken = False
        self.app.post(f"{INSIDE}/uploads")(self.take)

    async def take(self, request: Request) -> dict[str, Any]:
        self.headers.append(dict(request.headers))
        if self.broken:
            raise ProblemError(503, "try_again", "not now")
        if self.reject_early:
            raise ProblemError(413, "too_large", "too large")
        content = await request.body()
        if not content.startswith(b"\xff\xd8\xff"):
            raise ProblemError(415, "unsupported_type", "no photo")
        self.files[unquote(request.headers["x-gallery-file"])] = content
        return {"status": "accepted", "photo_id": str(uuid4()), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.fixture
def upload() -> FakeUpload:
    return FakeUpload()


@pytest.fixture
def neighbours(upload: FakeUpload) -> dict[str, FastAPI]:
    """Apps by name; a test adds the routes that it needs."""
    others = {name: create_app(title=name, routers=[], ready=None) for name in ("metadata", "ml_worker", "search")}
    return {"upload": upload.app, **others}


@pytest_asyncio.fixture
async def app(neighbours: dict[str, FastAPI]) -> AsyncIterator[FastAPI]:
    async with AsyncExitStack() as stack:
        services = {
            name: await stack.enter_async_context(
                httpx.AsyncClient(transport=AsgiTransport(neighbour), base_url=f"http://{name.replace('_', '-')}")
            )
            for name, neighbour in neighbours.items()
        }
        owner = Owner(uuid4(), LIBRARY, digest(TOKEN))
        settings = GatewaySettings(largest_question=200_000)
        yield build(settings=settings, owner=owner, services=services, effective_settings=(), ready=None)


@pytest_asyncio.fixture
async def gateway(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=AsgiTransport(app), base_url="http://localhost/api/v1", headers={"authorization": f"Bearer {TOKEN}"}
    ) as client:
        yield client


@pytest.fixture
def answers(neighbours: dict[str, FastAPI]) -> Callable[..., list[Any]]:
    """Have a neighbour answer a path with a document, or with a problem; gives the bodies it was asked with."""

    def add(name: str, method: str, path: str, answer: Any) -> list[Any]:
        asked: list[Any] = []

        async def answering(request: Request) -> Any:
            asked.append(
                await request.json() if method == "POST" and await request.body() else dict(request.query_params)
            )
            if isinstance(answer, Exception):
                raise answer
            return answer

        neighbours[name].add_api_route(path, answering, methods=[method])
        return asked

    return add
