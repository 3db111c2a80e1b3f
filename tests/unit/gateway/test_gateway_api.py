"""The public API over neighbours that answer as agreed."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from gallery.runtime.http import ProblemError

INSIDE = "/internal/v1/libraries/01990000-0000-7000-8000-000000000001"
PHOTO = "01990000-0000-7000-8000-0000000000aa"
FACE = "01990000-0000-7000-8000-0000000000fa"
PERSON = "01990000-0000-7000-8000-0000000000cc"
JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 500

Answers = Callable[..., list[Any]]


def described(**changes: Any) -> dict[str, Any]:
    photo = {
        "id": PHOTO,
        "revision": 3,
        "file": "Summer/a.jpg",
        "sha256": "ab" * 32,
        "size": 1000,
        "media_type": "image/jpeg",
        "width": 400,
        "height": 300,
        "uploaded_at": "2026-11-21T09:00:00Z",
        "taken_at": "2024-05-01T12:00:00",
        "offset_minutes": 120,
        "taken_from": "exif",
        "camera": "Pixel 8",
        "lens": None,
        "exposure": {"iso": 100},
        "gps": None,
        "place": None,
        "faces": [{"id": FACE, "person_id": PERSON, "state": "assigned"}],
        "stages": {"faces": {"state": "done", "reason": None, "pack": "p", "attempts": 1, "at": None}},
    }
    return photo | changes


ANALYSED = {
    "id": PHOTO,
    "width": 300,
    "height": 400,
    "faces": [{"id": FACE, "box": [10, 20, 30, 40], "score": 0.9, "quality": 0.8}],
    "tags": [{"label": "dog", "score": 0.7}],
    "hashes": {"perceptual": "00ff"},
    "quality": {"sharpness": 12.0, "exposure": 0.5},
}


def knows_photo(answers: Answers, **changes: Any) -> None:
    answers("metadata", "POST", f"{INSIDE}/photos/query", {"photos": [described(**changes)]})
    answers("metadata", "POST", f"{INSIDE}/people/query", {"people": [{"id": PERSON, "name": "Anna"}]})
    answers("ml_worker", "POST", f"{INSIDE}/photos/query", {"photos": [ANALYSED]})


async def test_nobody_gets_in_without_the_token(app: FastAPI, gateway: httpx.AsyncClient) -> None:
    routes = [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if path.startswith("/api/")
    ]
    assert len(routes) > 15
    for token in ({"authorization": ""}, {"authorization": "Bearer wrong"}, {"authorization": "Basic abc"}):
        for method, path in routes:
            place = path.replace("{photo_id}", PHOTO).replace("{person_id}", PERSON)
            place = place.replace("{face_id}", FACE).replace("{letter_id}", PHOTO)
            answer = await gateway.request(method, f"http://localhost{place}", headers=token)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), place


async def test_health_and_description_are_open(gateway: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/health/ready", "/docs", "/openapi.json"):
        assert (await gateway.get(f"http://localhost{path}", headers={"authorization": ""})).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1:8420", 200), ("[::1]:80", 200), ("evil.example", 421), ("", 421)]
)
async def test_only_expected_host_names_are_answered(gateway: httpx.AsyncClient, host: str, status: int) -> None:
    answer = await gateway.get("http://localhost/health/live", headers={"host": host})
    assert answer.status_code == status


async def test_a_question_has_a_limit(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post("/uploads/exists", content=b" " * 300_000, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "question_too_large")


async def test_files_of_a_form_go_on_one_by_one(gateway: httpx.AsyncClient, upload: Any) -> None:
    form: Any = [
        ("path", (None, "Sommer/Mädchen.jpg")),
        ("sha256", (None, "ab" * 32)),
        ("lane", (None, "backfill")),
        ("file", ("x.jpg", JPEG)),
        ("file", ("letter.txt", b"dear Anna")),
        ("file", ("b.jpg", JPEG + b"b")),
    ]
    answer = await gateway.post("/uploads", files=form)
    assert answer.status_code == 200
    first, second, third = answer.json()["uploads"]
    assert (first["file"], first["status"]) == ("Sommer/Mädchen.jpg", "accepted")
    assert UUID(first["photo"])
    assert second == {"file": "letter.txt", "status": "rejected", "code": "unsupported_type", "detail": "no photo"}
    assert (third["file"], third["status"]) == ("b.jpg", "accepted")
    assert upload.files == {"Sommer/Mädchen.jpg": JPEG, "b.jpg": JPEG + b"b"}
    assert upload.headers[0]["x-gallery-lane"] == "backfill"
    assert upload.headers[0]["x-gallery-sha256"] == "ab" * 32
    assert "x-gallery-lane" not in upload.headers[1]


async def test_a_file_refused_before_it_was_read_does_not_stop_the_others(
    gateway: httpx.AsyncClient, upload: Any
) -> None:
    upload.reject_early = True
    answer = await gateway.post("/uploads", files=[("file", (f"{n}.jpg", JPEG * 10)) for n in range(3)])
    assert [(entry["status"], entry["code"]) for entry in answer.json()["uploads"]] == [("rejected", "too_large")] * 3


async def test_a_service_that_is_not_there_is_no_reason_to_reject_files(
    gateway: httpx.AsyncClient, upload: Any
) -> None:
    upload.broken = True
    answer = await gateway.post("/uploads", files=[("file", ("a.jpg", JPEG))])
    assert (answer.status_code, answer.json()["code"]) == (503, "try_again")


async def test_fields_cannot_smuggle_headers(gateway: httpx.AsyncClient, upload: Any) -> None:
    form: Any = [("lane", (None, "backfill\r\nx-evil: 1")), ("file", ("a.jpg", JPEG))]
    assert (await gateway.post("/uploads", files=form)).json()["code"] == "bad_form"
    assert not upload.headers


async def test_a_photo_is_put_together_from_its_owners(gateway: httpx.AsyncClient, answers: Answers) -> None:
    knows_photo(answers)
    photo = (await gateway.get(f"/photos/{PHOTO}")).json()
    assert photo["dimensions"] == [300, 400]
    assert photo["taken_at"] == "2024-05-01T12:00:00+02:00"
    assert photo["type"] == "image/jpeg"
    assert photo["tags"] == [{"label": "dog", "score": 0.7}]
    assert photo["faces"] == [
        {
            "id": FACE,
            "box": [10, 20, 30, 40],
            "score": 0.9,
            "quality": 0.8,
            "person": PERSON,
            "name": "Anna",
            "state": "assigned",
        }
    ]
    assert photo["stages"]["faces"]["state"] == "done"


async def test_a_time_without_offset_stays_local(gateway: httpx.AsyncClient, answers: Answers) -> None:
    knows_photo(answers, offset_minutes=None)
    assert (await gateway.get(f"/photos/{PHOTO}")).json()["taken_at"] == "2024-05-01T12:00:00"


async def test_a_photo_that_the_catalogue_has_not_heard_of_yet_is_shown(
    gateway: httpx.AsyncClient, answers: Answers
) -> None:
    for service in ("metadata", "ml_worker"):
        answers(service, "POST", f"{INSIDE}/photos/query", {"photos": []})
    original = {
        "photo_id": PHOTO,
        "file": "a.jpg",
        "sha256": "ab" * 32,
        "media_type": "image/jpeg",
        "size": 3,
        "uploaded_at": "2026-11-21T09:00:00Z",
    }
    answers("upload", "POST", f"{INSIDE}/uploads/query", {"uploads": [original]})
    assert (await gateway.get(f"/photos/{PHOTO}")).json()["file"] == "a.jpg"


async def test_a_photo_that_is_not_there_is_not_found(gateway: httpx.AsyncClient, answers: Answers) -> None:
    for service in ("metadata", "ml_worker"):
        answers(service, "POST", f"{INSIDE}/photos/query", {"photos": []})
    answers("upload", "POST", f"{INSIDE}/uploads/query", {"uploads": []})
    answer = await gateway.get(f"/photos/{PHOTO}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_photo")


async def test_hits_carry_names_and_tags(gateway: httpx.AsyncClient, answers: Answers) -> None:
    knows_photo(answers)
    found = {"photos": [{"id": PHOTO, "score": 1.5}], "total": 1, "next": None, "facets": {}, "took_ms": 3}
    asked = answers("search", "GET", f"{INSIDE}/search", found)
    answer = (await gateway.get("/search", params={"q": "person:anna", "limit": 7})).json()
    assert asked == [{"q": "person:anna", "limit": "7"}]
    assert answer["total"] == 1
    assert answer["photos"] == [
        {
            "id": PHOTO,
            "file": "Summer/a.jpg",
            "taken_at": "2024-05-01T12:00:00+02:00",
            "people": [{"id": PERSON, "name": "Anna"}],
            "tags": [{"label": "dog", "score": 0.7}],
            "score": 1.5,
        }
    ]


async def test_a_mistake_in_a_query_keeps_its_position(gateway: httpx.AsyncClient, answers: Answers) -> None:
    problem = ProblemError(422, "bad_query", "expected a date", position=5, expected="a date")
    answers("search", "GET", f"{INSIDE}/search", problem)
    answer = await gateway.get("/search", params={"q": "date:x"})
    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["position"]) == ("bad_query", 5)


async def test_faces_carry_their_boxes_and_files(gateway: httpx.AsyncClient, answers: Answers) -> None:
    face = {"id": FACE, "photo": PHOTO, "file": "a.jpg", "person_id": None, "state": "unassigned"}
    answers("metadata", "GET", f"{INSIDE}/faces", {"faces": [face], "next": "more"})
    answers("ml_worker", "POST", f"{INSIDE}/faces/query", {"faces": ANALYSED["faces"]})
    page = (await gateway.get("/faces")).json()
    assert page == {
        "faces": [
            {
                "id": FACE,
                "photo": PHOTO,
                "file": "a.jpg",
                "box": [10, 20, 30, 40],
                "score": 0.9,
                "quality": 0.8,
                "person": None,
                "state": "unassigned",
            }
        ],
        "next": "more",
    }


async def test_a_face_is_shown_with_its_evidence(gateway: httpx.AsyncClient, answers: Answers) -> None:
    knows_photo(answers)
    seen = {
        "id": FACE,
        "photo_id": PHOTO,
        "box": [1, 2, 3, 4],
        "score": 0.9,
        "quality": 0.8,
        "evidence": {"rule": "margin"},
    }
    answers("ml_worker", "GET", f"{INSIDE}/faces/{FACE}", seen)
    face = (await gateway.get(f"/faces/{FACE}")).json()
    assert face["evidence"] == {"rule": "margin"}
    assert (face["person"], face["state"], face["file"]) == (PERSON, "assigned", "Summer/a.jpg")


async def test_naming_asks_the_catalogue(gateway: httpx.AsyncClient, neighbours: dict[str, FastAPI]) -> None:
    @neighbours["metadata"].put(f"{INSIDE}/people/{PERSON}/name")
    async def name(request: Request) -> Any:
        return await request.json()

    assert (await gateway.patch(f"/people/{PERSON}", json={"name": "Anna"})).json() == {"name": "Anna"}


async def test_status_brings_everything_together(gateway: httpx.AsyncClient, answers: Answers) -> None:
    counts = {"pending": 0, "done": 1, "failed": 0, "rejected": 0}
    ledger = {"photos": 1, "stages": {"faces": counts}, "consistent": True, "rejected": []}
    answers("metadata", "GET", f"{INSIDE}/ledger", ledger)
    answers("search", "GET", f"{INSIDE}/status", {"pending": 4})
    worker = {"queue": {}, "grouping": {"pending": True}, "room": 7, "packs": {"face": "p"}, "without_pack": ["text"]}
    answers("ml_worker", "GET", f"{INSIDE}/status", worker)
    status = (await gateway.get("/status")).json()
    assert status == {**ledger, "search": {"pending": 4}, **worker}


async def test_a_check_covers_every_service(gateway: httpx.AsyncClient, answers: Answers) -> None:
    missing = {"kind": "missing", "photo_id": PHOTO, "key": "k"}
    answers("upload", "POST", f"{INSIDE}/verify", {"objects": 2, "findings": [missing]})
    answers("ml_worker", "POST", f"{INSIDE}/verify", {"objects": 3, "findings": []})
    answers("metadata", "POST", f"{INSIDE}/reconcile", {"photos": 2, "findings": ["2 photos lack a row"]})
    assert (await gateway.post("/verify")).json() == {
        "objects": 5,
        "findings": [
            {"service": "upload", **missing},
            {"service": "metadata", "kind": "ledger", "detail": "2 photos lack a row"},
        ],
    }


async def test_the_audit_is_told_with_the_photos_that_are_broken(gateway: httpx.AsyncClient, answers: Answers) -> None:
    broken = {"photo_id": PHOTO, "kind": "damaged", "found_at": "2026-05-02T01:00:00Z", "blob_key": "k"}
    audit = {"objects": 7, "began_at": "2026-05-02T01:00:00Z", "ended_at": None, "faults": [broken]}
    answers("upload", "GET", f"{INSIDE}/audit", audit)
    assert (await gateway.get("/audit")).json() == audit


async def test_dead_letters_of_all_services_are_listed_and_replayed(
    gateway: httpx.AsyncClient, answers: Answers
) -> None:
    for service, letters in {
        "metadata": [{"id": PHOTO, "at": "2"}],
        "ml_worker": [],
        "search": [{"id": FACE, "at": "1"}],
    }.items():
        answers(service, "GET", "/internal/v1/dead-letters", {"dead_letters": letters})
    replayed = answers("search", "POST", f"/internal/v1/dead-letters/{FACE}/replay", {"replayed": 1})
    listed = (await gateway.get("/dead-letters")).json()["dead_letters"]
    assert [(letter["service"], letter["id"]) for letter in listed] == [("search", FACE), ("metadata", PHOTO)]
    assert (await gateway.post(f"/dead-letters/{FACE}/replay")).json() == {"service": "search", "replayed": 1}
    assert len(replayed) == 1
    assert (await gateway.post(f"/dead-letters/{PERSON}/replay")).json()["code"] == "unknown_dead_letter"


async def test_bytes_pass_through_with_validators_and_ranges(
    gateway: httpx.AsyncClient, neighbours: dict[str, FastAPI]
) -> None:
    @neighbours["ml_worker"].get(f"{INSIDE}/photos/{PHOTO}/preview")
    async def preview(request: Request) -> Response:
        if request.headers.get("if-none-match") == '"tag"':
            return Response(status_code=304, headers={"etag": '"tag"'})
        headers = {"etag": '"tag"', "content-range": "bytes 0-2/9", "x-inside": "secret"}
        return Response(request.headers["range"].encode(), 206, headers, "image/jpeg")

    part = await gateway.get(f"/photos/{PHOTO}/preview", headers={"range": "bytes=0-2"})
    assert (part.status_code, part.content, part.headers["etag"]) == (206, b"bytes=0-2", '"tag"')
    assert part.headers["content-type"] == "image/jpeg"
    assert "x-inside" not in part.headers
    assert (await gateway.get(f"/photos/{PHOTO}/preview", headers={"if-none-match": '"tag"'})).status_code == 304


async def test_a_preview_that_is_not_there_is_a_problem(gateway: httpx.AsyncClient, answers: Answers) -> None:
    answers("ml_worker", "GET", f"{INSIDE}/photos/{PHOTO}/preview", ProblemError(404, "no_preview", "not yet"))
    answer = await gateway.get(f"/photos/{PHOTO}/preview")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_preview")


async def test_a_service_that_fails_is_named_and_not_quoted(gateway: httpx.AsyncClient, answers: Answers) -> None:
    answers("metadata", "GET", f"{INSIDE}/people", ValueError("a secret"))
    answer = await gateway.get("/people")
    assert (answer.status_code, answer.json()["code"]) == (502, "service_failed")
    assert "secret" not in answer.text


async def test_an_original_that_stays_in_place_is_handed_on(
    gateway: httpx.AsyncClient, neighbours: dict[str, FastAPI]
) -> None:
    handed: list[Any] = []

    async def take(request: Request) -> Any:
        handed.append(await request.json())
        if "private" in handed[-1]["place"]:
            raise ProblemError(403, "place_refused", "not from there")
        return {"file": "größe.jpg", "status": "accepted", "photo": PHOTO, "sha256": "ab" * 32}

    neighbours["upload"].add_api_route(f"{INSIDE}/uploads/in-place", take, methods=["POST"])
    wish = {"place": "s3://b/größe.jpg", "path": "größe.jpg", "lane": "backfill", "said": {"source": "takeout"}}
    answer = await gateway.post("/uploads/in-place", json={**wish, "modified": "2024-02-03T04:05:06+01:00"})
    assert answer.json() == {"file": "größe.jpg", "status": "accepted", "photo": PHOTO, "sha256": "ab" * 32}
    assert handed == [{**wish, "sha256": None, "modified": "2024-02-03T04:05:06+01:00"}]

    refused = await gateway.post("/uploads/in-place", json={**wish, "place": "s3://private/x"})
    assert (refused.status_code, refused.json()["code"]) == (403, "place_refused")
    assert (await gateway.post("/uploads/in-place", json={**wish, "modified": "yesterday"})).status_code == 422


PACE = {
    "library": "01990000-0000-7000-8000-000000000001",
    "paused": True,
    "weight": 2,
    "lanes": {
        lane: {"pending": 5, "done_per_minute": 1.5, "seconds_left": None} for lane in ("interactive", "backfill")
    },
    "cost": {"since": None, "photos": 0, "cpu_seconds": 0.0, "original_bytes": 0, "derived_bytes": 0},
}
QUOTA = {"held": {"photos": 7, "bytes": 700}, "quota": {"photos": None, "bytes": 1000}}


async def test_a_backfill_is_shown_and_changed(
    gateway: httpx.AsyncClient, neighbours: dict[str, FastAPI], answers: Answers
) -> None:
    whole = PACE | QUOTA
    answers("ml_worker", "GET", f"{INSIDE}/backfill", PACE)
    answers("upload", "GET", f"{INSIDE}/quota", QUOTA)
    assert (await gateway.get("/backfill")).json() == {"libraries": [whole]}
    wishes: list[Any] = []

    def changes(service: str, path: str, answer: Any) -> None:
        async def change(request: Request) -> Any:
            wishes.append((service, await request.json()))
            return answer

        neighbours[service].add_api_route(f"{INSIDE}{path}", change, methods=["PATCH"])

    changes("ml_worker", "/backfill", PACE)
    changes("upload", "/quota", QUOTA)
    for wish in ({"paused": True}, {"quota": {"photos": None}}, {"quota": {"bytes": 5}, "weight": 2}):
        assert (await gateway.patch("/backfill", json=wish)).json() == whole
    assert wishes[:2] == [("ml_worker", {"paused": True}), ("upload", {"photos": None})]
    assert sorted(wishes[2:]) == [("ml_worker", {"weight": 2}), ("upload", {"bytes": 5})]
    for nonsense in ({"weight": 0}, {"quota": {"photos": -1}}):
        assert (await gateway.patch("/backfill", json=nonsense)).status_code == 422
