"""The command against a gallery of a few lines, served on loopback."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gallery.cli import main as command
from gallery.runtime.http import ProblemError, create_app, listen, serve

STAGES = ("described", "rendered", "faces", "tags", "text", "people", "indexed")
TOKEN = "open sesame"  # noqa: S105 - opens nothing


class FakeGallery:
    """Stores what it gets; analyses one photo each time it is asked how far it is."""

    def __init__(self) -> None:
        self.app: FastAPI = create_app(title="fake", routers=[], ready=None)
        self.stored: dict[str, str] = {}
        self.received: list[dict[str, Any]] = []
        self.ended: set[str] = set()
        self.busy_for = 0
        self.lose_answers = 0
        self.away = 0
        self.room: int | None = None
        self.refuse: dict[bytes, tuple[str, str] | ProblemError] = {}
        self.lying: dict[str, bytes] = {}
        self.unreadable: set[str] = set()
        self.undecodable: set[str] = set()
        self.faults: list[dict[str, str]] = []
        self.people: dict[str, Any] = {"people": [], "unassigned_faces": 0}
        self.app.middleware("http")(self._guard)
        for method, path, handler in (
            ("POST", "/uploads", self._take),
            ("POST", "/uploads/exists", self._exists),
            ("POST", "/uploads/in-place", self._leave),
            ("POST", "/photos/progress", self._progress),
            ("GET", "/status", self._status),
            ("GET", "/people", self._people),
            ("GET", "/audit", self._audit),
            ("GET", "/search", self._search),
        ):
            self.app.add_api_route(f"/api/v1{path}", handler, methods=[method])

    def answers(self, method: str, path: str, answer: Any) -> None:
        async def answering(request: Request) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer(request) if callable(answer) else answer

        self.app.add_api_route(f"/api/v1{path}", answering, methods=[method])

    async def _guard(self, request: Request, call_next: Callable[..., Any]) -> Any:
        opened = request.headers.get("authorization") == f"Bearer {TOKEN}"
        if request.url.path.startswith("/api/") and not opened:
            return JSONResponse({"code": "unauthorized", "detail": "no"}, 401)
        return await call_next(request)

    async def _take(self, request: Request) -> Any:
        if self.away:
            self.away -= 1
            raise ProblemError(503, "service_unavailable", "away")
        async with request.form() as form:
            content = await form["file"].read()  # type: ignore[union-attr]
        sha256 = hashlib.sha256(content).hexdigest()
        self.received.append({name: value for name, value in form.items() if isinstance(value, str)})
        if content in self.refuse:
            refusal = self.refuse[content]
            if isinstance(refusal, ProblemError):
                raise refusal
            code, detail = refusal
            return {"uploads": [{"file": form["path"], "status": "rejected", "code": code, "detail": detail}]}
        status = "already_stored" if sha256 in self.stored else "accepted"
        photo = self.stored.setdefault(sha256, str(uuid4()))
        if self.lose_answers:
            self.lose_answers -= 1
            raise ProblemError(502, "service_failed", "the answer got lost")
        return {"uploads": [{"file": form["path"], "status": status, "photo": photo}]}

    async def _leave(self, request: Request) -> Any:
        wish = await request.json()
        self.received.append(wish)
        if self.away:
            self.away -= 1
            raise ProblemError(503, "storage_away", "the bucket cannot be read now")
        place = wish["place"]
        if place not in self.lying:
            raise ProblemError(403, "place_refused", "not from there")
        if place in self.unreadable:
            raise ProblemError(422, "place_unreadable", "the bucket does not let this gallery read it")
        sha256 = hashlib.sha256(self.lying[place]).hexdigest()
        status = "already_stored" if sha256 in self.stored else "accepted"
        photo = self.stored.setdefault(sha256, str(uuid4()))
        return {"file": wish["path"], "status": status, "photo": photo, "sha256": sha256}

    async def _exists(self, request: Request) -> Any:
        asked = (await request.json())["sha256"]
        return {"known": {sha256: self.stored[sha256] for sha256 in asked if sha256 in self.stored}}

    async def _progress(self, request: Request) -> Any:
        ids = (await request.json())["ids"]
        self.ended |= set([photo for photo in ids if photo not in self.ended][:1])
        bad = {self.stored[sha256] for sha256 in self.undecodable if sha256 in self.stored}
        ended = [photo for photo in ids if photo in self.ended]
        rejected = [
            {"photo_id": photo, "file": "?", "code": "undecodable", "detail": "no picture"}
            for photo in ended
            if photo in bad
        ]
        return {
            "pending": len(ids) - len(ended),
            "done": len(ended) - len(rejected),
            "failed": 0,
            "rejected": rejected,
        }

    async def _status(self) -> Any:
        self.busy_for = max(0, self.busy_for - 1)
        counts = {"pending": len(self.stored) - len(self.ended), "done": len(self.ended), "failed": 0, "rejected": 0}
        indexed = {**counts, "pending": 0}
        return {
            "photos": len(self.stored),
            "stages": dict.fromkeys(STAGES, counts) | {"indexed": indexed},
            "consistent": True,
            "grouping": {"pending": self.busy_for > 0},
            "search": {"pending": 0},
            "room": self.room,
        }

    async def _audit(self) -> Any:
        return {"objects": 3, "began_at": "2026-05-02T01:00:00Z", "ended_at": None, "faults": self.faults}

    async def _people(self) -> Any:
        return self.people

    async def _search(self, q: str) -> Any:
        if q == "date:x":
            raise ProblemError(
                422, "bad_query", "at character 5: date: is followed by a day", position=5, expected=["a date"]
            )
        return {"photos": [], "total": 0, "next": None, "facets": {"q": q}, "took_ms": 1}


@pytest.fixture
def fake() -> FakeGallery:
    return FakeGallery()


@pytest.fixture
def url(fake: FakeGallery) -> Iterator[str]:
    listener = listen()
    loop = asyncio.new_event_loop()
    serving = loop.create_task(serve(fake.app, listener=listener))

    def run() -> None:
        asyncio.set_event_loop(loop)
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(serving)
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    loop.call_soon_threadsafe(serving.cancel)
    thread.join(20)


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def call(url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command as the shell does; gives exit code and both outputs."""
    monkeypatch.setenv("GALLERY_TOKEN", TOKEN)

    def run(*arguments: object, server: str = url) -> Result:
        monkeypatch.setattr("sys.argv", ["gallery", "--server", server, *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            command.main()
        captured = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Result(left.value.code, captured.out, captured.err)

    return run
