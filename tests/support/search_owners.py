"""The services that search asks, as small apps that answer from dictionaries."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fastapi import FastAPI, HTTPException, Request
from httpx import AsyncClient

from gallery.runtime.asgi_transport import AsgiTransport


@dataclass
class FakeOwners:
    """What metadata and ml-worker know; tests write into it."""

    photos: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    tags: dict[UUID, list[tuple[str, float]]] = field(default_factory=dict)
    names: dict[UUID, str | None] = field(default_factory=dict)
    down: bool = False
    requests: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None

    def add(self, photo_id: UUID, **facts: Any) -> None:
        revision = self.photos.get(photo_id, {}).get("revision", 0) + 1
        plain = {
            "id": str(photo_id),
            "revision": revision,
            "file": "a.jpg",
            "media_type": "image/jpeg",
            "uploaded_at": "2025-01-01T00:00:00Z",
            "taken_at": "2024-05-01T12:00:00",
            "faces": [],
            "sha256": "passed over",
        }
        self.photos[photo_id] = {**plain, **facts}

    def metadata(self) -> AsyncClient:
        app = FastAPI()

        @app.post("/internal/v1/libraries/{library_id}/photos/query")
        async def query(library_id: UUID, request: Request) -> dict[str, Any]:
            return {"photos": await self._answer(library_id, request, self.photos)}

        @app.post("/internal/v1/libraries/{library_id}/people/query")
        async def people(library_id: UUID, request: Request) -> dict[str, Any]:
            named = {person: {"id": str(person), "name": name} for person, name in self.names.items()}
            return {"people": await self._answer(library_id, request, named)}

        return AsyncClient(transport=AsgiTransport(app), base_url="http://metadata")

    def ml_worker(self) -> AsyncClient:
        app = FastAPI()

        @app.post("/internal/v1/libraries/{library_id}/photos/query")
        async def query(library_id: UUID, request: Request) -> dict[str, Any]:
            found = {
                photo: {"id": str(photo), "tags": [{"label": label, "score": score} for label, score in tags]}
                for photo, tags in self.tags.items()
            }
            return {"photos": await self._answer(library_id, request, found)}

        return AsyncClient(transport=AsgiTransport(app), base_url="http://ml-worker")

    async def _answer(
        self, library_id: UUID, request: Request, known: dict[UUID, dict[str, Any]]
    ) -> list[dict[str, Any]]:
        assert library_id.int, "search asks with a library"
        self.requests += 1
        if self.down:
            raise HTTPException(503)
        ids: Iterable[str] = (await request.json())["ids"]
        answer = [known[UUID(each)] for each in ids if UUID(each) in known]
        self.asked.set()
        if self.hold:
            await self.hold.wait()
        return answer
