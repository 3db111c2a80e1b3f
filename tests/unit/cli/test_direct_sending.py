"""Large files of an import go straight to the gallery's store, and go on where they were cut off."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi import Request
from fastapi.responses import Response

from gallery.cli import sending, waiting
from gallery.runtime.http import ProblemError

Call = Callable[..., Any]
PART = 10


class DirectStore:
    """Adds direct uploads to a fake gallery: parts of ten bytes, kept as they come, with accidents on demand.

    Attributes:
        at_store: Statuses that the store answers first.
        at_begin: Problems that the gallery answers first.
        at_complete: Likewise.
    """

    def __init__(self, gallery: Any) -> None:
        self.announced: dict[str, Any] = {}
        self.parts: dict[int, bytes] = {}
        self.received: list[int] = []
        self.at_store: list[int] = []
        self.at_begin: list[Exception] = []
        self.at_complete: list[Exception] = []
        self.lose_completion = False
        self._gallery = gallery
        for method, path, handler in (
            ("POST", "/api/v1/uploads/direct", self._begin),
            ("POST", "/api/v1/uploads/direct/{upload}/parts", self._sign),
            ("POST", "/api/v1/uploads/direct/{upload}/complete", self._complete),
            ("PUT", "/store/{number}", self._take),
        ):
            gallery.app.add_api_route(path, handler, methods=[method])

    async def _begin(self, request: Request) -> Any:
        if self.at_begin:
            raise self.at_begin.pop(0)
        self.announced = await request.json()
        if photo := self._gallery.stored.get(self.announced["sha256"]):
            return {"file": self.announced["path"], "status": "already_stored", "photo": photo}
        parts = -(-self.announced["size"] // PART)
        return {"id": str(uuid4()), "status": "open", "part_size": PART, "parts": parts, "sent": sorted(self.parts)}

    async def _sign(self, request: Request) -> Any:
        (part,) = (await request.json())["parts"]
        url = f"{request.base_url}store/{part['number']}"
        return {"requests": [{**part, "method": "PUT", "url": url, "headers": {"x-part": part["sha256"]}}]}

    async def _take(self, number: int, request: Request) -> Response:
        content = await request.body()
        if self.at_store and (status := self.at_store.pop(0)) != 200:
            return Response(status_code=status)
        assert "authorization" not in request.headers
        assert request.headers["x-part"] == hashlib.sha256(content).hexdigest()
        self.parts[number] = content
        self.received.append(number)
        return Response()

    async def _complete(self) -> Any:
        if self.at_complete:
            raise self.at_complete.pop(0)
        content = b"".join(content for _, content in sorted(self.parts.items()))
        sha256 = hashlib.sha256(content).hexdigest()
        assert sha256 == self.announced["sha256"]
        photo = self._gallery.stored.setdefault(sha256, str(uuid4()))
        if self.lose_completion:
            raise ProblemError(502, "service_failed", "the answer got lost")
        return {"file": self.announced["path"], "status": "accepted", "photo": photo}


@pytest.fixture
def store(fake: Any, monkeypatch: pytest.MonkeyPatch) -> DirectStore:
    """Have files above 20 bytes sent directly, without pauses."""
    monkeypatch.setattr("gallery.cli.uploading.LARGE", 20)
    monkeypatch.setattr(sending, "FIRST_PAUSE_SECONDS", 0)
    monkeypatch.setattr(waiting, "ASK_EVERY_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "QUIET_FOR_SECONDS", 0.01)
    return DirectStore(fake)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    file = tmp_path / "album" / "film.mp4"
    file.parent.mkdir()
    file.write_bytes(b"\x00\x00\x00\x18ftypmp42 and all that is in it")
    return file


def test_a_large_file_goes_to_the_store_and_a_small_one_by_the_form(
    fake: Any, store: DirectStore, film: Path, call: Call
) -> None:
    (film.parent / "small.jpg").write_bytes(b"\xff\xd8\xff small")
    result = call("import", film.parent, "--json")
    assert (result.code, result.json["accepted"]) == (0, 2)
    assert store.received == [1, 2, 3, 4]
    assert b"".join(store.parts.values()) == film.read_bytes()
    assert (store.announced["path"], store.announced["size"]) == ("film.mp4", film.stat().st_size)
    assert [said["path"] for said in fake.received] == ["small.jpg"]


def test_what_was_cut_off_goes_on(store: DirectStore, film: Path, call: Call) -> None:
    store.at_store = [200, 503, 200, 403, 404]
    assert call("import", film.parent, "--json").json["accepted"] == 1
    assert store.received == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "accident",
    [
        ProblemError(409, "parts_missing", "parts are missing", missing=[1]),
        ProblemError(404, "unknown_upload", "begin again"),
        ProblemError(503, "storage_away", "not now"),
    ],
)
def test_an_accident_at_the_end_is_another_beginning(
    store: DirectStore, film: Path, call: Call, accident: Exception
) -> None:
    store.at_complete = [accident]
    assert call("import", film.parent, "--json").json["accepted"] == 1


def test_a_film_that_is_looked_at_for_long_is_waited_for(store: DirectStore, film: Path, call: Call) -> None:
    store.at_complete = [ProblemError(503, "still_checking", "ask again")] * (3 * sending.ATTEMPTS)
    assert call("import", film.parent, "--json").json["accepted"] == 1


def test_what_was_stored_by_an_attempt_whose_answer_got_lost_is_accepted(
    store: DirectStore, film: Path, call: Call
) -> None:
    store.lose_completion = True
    assert call("import", film.parent, "--json").json["accepted"] == 1


def test_a_refused_film_is_named_with_its_reason(store: DirectStore, film: Path, call: Call) -> None:
    store.at_complete = [ProblemError(415, "unsupported_type", "no type that is taken in")]
    result = call("import", film.parent, "--json")
    assert result.code == 2
    assert result.json["rejected"] == [
        {"path": "film.mp4", "code": "unsupported_type", "detail": "no type that is taken in"}
    ]


@pytest.mark.parametrize("accidents", [[ProblemError(409, "no_direct_uploads", "by the form")], None])
def test_without_a_store_in_reach_the_form_takes_it(
    fake: Any, store: DirectStore, film: Path, call: Call, accidents: list[Exception] | None
) -> None:
    if accidents is None:
        store.at_store = [503] * 100
    else:
        store.at_begin = accidents
    assert call("import", film.parent, "--json").json["accepted"] == 1
    assert [said["path"] for said in fake.received] == ["film.mp4"]
    assert not store.received


def test_a_store_that_goes_away_in_the_middle_is_told(store: DirectStore, film: Path, call: Call) -> None:
    store.at_store = [200, *[503] * 100]
    result = call("import", film.parent, "--json")
    assert result.code == 1
    assert "run the import again" in result.err
    store.at_store = []
    assert call("import", film.parent, "--json").json["accepted"] == 1
    assert store.received == [1, 2, 3, 4]


def test_a_full_library_stops_the_import(store: DirectStore, film: Path, call: Call) -> None:
    store.at_begin = [ProblemError(403, "quota_reached", "raise its quota")]
    result = call("import", film.parent, "--json")
    assert result.code == 1
    assert "raise its quota" in result.err
