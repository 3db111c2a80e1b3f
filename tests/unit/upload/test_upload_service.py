"""The upload service as its neighbours meet it: over HTTP, on a real database."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from gallery.events.v1 import uploads_pb2
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.upload.main import serving
from gallery.upload.settings import UploadSettings

LIMIT = 1_000_000


@pytest_asyncio.fixture
async def upload(database: Database, blobs: Any, library: UUID) -> AsyncIterator[httpx.AsyncClient]:
    settings = UploadSettings(largest_file=LIMIT)
    async with (
        serving(settings=settings, database=database, blobs=blobs) as app,
        httpx.AsyncClient(
            transport=AsgiTransport(app), base_url=f"http://upload/internal/v1/libraries/{library}"
        ) as client,
    ):
        yield client


async def facts(database: Database) -> list[uploads_pb2.PhotoUploaded]:
    async with database.read() as connection:
        rows = await (await connection.execute("SELECT data FROM outbox ORDER BY seq")).fetchall()
    return [uploads_pb2.PhotoUploaded.FromString(row["data"]) for row in rows]


async def intents(database: Database) -> int:
    async with database.read() as connection:
        row = await (await connection.execute("SELECT count(*) AS count FROM intents")).fetchone()
    assert row is not None
    return int(row["count"])


async def test_an_upload_is_stored_recorded_and_said(
    upload: httpx.AsyncClient, blobs: Any, database: Database, photo: bytes
) -> None:
    headers = {"x-gallery-file": quote("Sommer/Mädchen.jpg"), "x-gallery-modified": "2024-05-01T12:00:00+02:00"}
    answer = await upload.post("/uploads", content=photo, headers=headers)

    assert answer.status_code == 201
    receipt = answer.json()
    digest = hashlib.sha256(photo).hexdigest()
    assert receipt == {
        "photo_id": receipt["photo_id"],
        "sha256": digest,
        "size": len(photo),
        "media_type": "image/jpeg",
        "status": "accepted",
    }
    described = (await upload.get(f"/uploads/{receipt['photo_id']}")).json()
    assert described["file"] == "Sommer/Mädchen.jpg"
    assert described["modified_at"] == "2024-05-01T10:00:00Z"
    assert blobs.objects[described["blob_key"]] == photo
    [fact] = await facts(database)
    assert fact.photo_id == receipt["photo_id"]
    assert fact.blob_key == described["blob_key"]
    assert fact.sha256.hex() == digest
    assert fact.lane == uploads_pb2.LANE_INTERACTIVE
    assert await intents(database) == 0


async def test_the_name_is_not_on_the_bus(upload: httpx.AsyncClient, database: Database, photo: bytes) -> None:
    await upload.post("/uploads", content=photo, headers={"x-gallery-file": "secret-name.jpg"})
    [fact] = await facts(database)
    assert b"secret" not in fact.SerializeToString()


async def test_what_another_gallery_said_is_kept_beside_the_original(
    upload: httpx.AsyncClient, database: Database, photo: bytes
) -> None:
    said = {"source": "takeout", "taken_at": "1955-07-12T10:00:00Z", "people": ["Käthe"], "albums": ["Sömmer"]}
    headers = {"x-gallery-said": quote(json.dumps(said, ensure_ascii=False))}
    receipt = (await upload.post("/uploads", content=photo, headers=headers)).json()
    described = (await upload.get(f"/uploads/{receipt['photo_id']}")).json()
    assert described["said"] == said
    [fact] = await facts(database)
    assert "Käthe".encode() not in fact.SerializeToString()


@pytest.mark.parametrize(
    "said",
    [
        "no json",
        "[]",
        '{"source": "somebody"}',
        '{"source": "takeout", "gps": {"latitude": 91, "longitude": 0}}',
        '{"source": "takeout", "taken_at": "2020-01-01T00:00:00"}',
        '{"source": "takeout", "description": "' + "x" * 9000 + '"}',
    ],
)
async def test_what_nobody_can_say_is_refused(upload: httpx.AsyncClient, photo: bytes, said: str) -> None:
    answer = await upload.post("/uploads", content=photo, headers={"x-gallery-said": quote(said)})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_claim")


@pytest.mark.parametrize("announced", [True, False])
async def test_the_same_bytes_again_are_the_same_photo(
    upload: httpx.AsyncClient, blobs: Any, database: Database, photo: bytes, *, announced: bool
) -> None:
    headers = {"x-gallery-sha256": hashlib.sha256(photo).hexdigest()} if announced else {}
    first = (await upload.post("/uploads", content=photo, headers=headers)).json()
    second = await upload.post("/uploads", content=photo, headers=headers)
    assert second.status_code == 200
    assert second.json() == first | {"status": "already_stored"}
    assert len(blobs.objects) == 1
    assert len(await facts(database)) == 1
    assert await intents(database) == 0


async def test_racing_uploads_of_the_same_bytes_are_one_photo(
    upload: httpx.AsyncClient, blobs: Any, database: Database, photo: bytes
) -> None:
    answers = await asyncio.gather(*(upload.post("/uploads", content=photo) for _ in range(8)))
    assert sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["already_stored"] * 7
    assert len({answer.json()["photo_id"] for answer in answers}) == 1
    assert len(blobs.objects) == len(await facts(database)) == 1
    assert await intents(database) == 0


async def test_another_library_has_its_own_photo_of_the_same_bytes(upload: httpx.AsyncClient, photo: bytes) -> None:
    first = (await upload.post("/uploads", content=photo)).json()
    other = str(upload.base_url).replace(upload.base_url.path.split("/")[4], str(uuid4()))
    second = (await upload.post(f"{other}uploads", content=photo)).json()
    assert second["status"] == "accepted"
    assert second["photo_id"] != first["photo_id"]
    assert (await upload.get(f"{other}uploads/{first['photo_id']}")).status_code == 404


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 422, "empty_file"),
        (b"a letter", {}, 415, "unsupported_type"),
        (b"PK\x03\x04" + bytes(100), {}, 415, "unsupported_type"),
        (b"\xff\xd8\xff" + bytes(LIMIT), {}, 413, "too_large"),
        (b"\xff\xd8\xff photo", {"x-gallery-sha256": "0" * 64}, 422, "checksum_mismatch"),
        (b"\xff\xd8\xff photo", {"x-gallery-sha256": "12"}, 422, "bad_claim"),
        (b"\xff\xd8\xff photo", {"x-gallery-lane": "fast"}, 422, "bad_claim"),
        (b"\xff\xd8\xff photo", {"x-gallery-modified": "yesterday"}, 422, "bad_claim"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_its_reason_and_leaves_nothing(
    upload: httpx.AsyncClient,
    blobs: Any,
    database: Database,
    content: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    answer = await upload.post("/uploads", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not blobs.objects
    assert not await facts(database)
    assert await intents(database) == 0


async def test_known_bytes_that_arrive_damaged_are_not_taken_for_stored(
    upload: httpx.AsyncClient, photo: bytes
) -> None:
    headers = {"x-gallery-sha256": hashlib.sha256(photo).hexdigest()}
    await upload.post("/uploads", content=photo)
    answer = await upload.post("/uploads", content=photo[:-1], headers=headers)
    assert answer.json()["code"] == "checksum_mismatch"


async def test_a_full_store_says_so_and_works_again_later(
    upload: httpx.AsyncClient, blobs: Any, database: Database, photo: bytes
) -> None:
    blobs.full = True
    answer = await upload.post("/uploads", content=photo)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_full")
    assert await intents(database) == 0
    blobs.full = False
    assert (await upload.post("/uploads", content=photo)).status_code == 201


async def test_a_store_that_is_away_is_told_and_what_it_may_still_write_is_remembered(
    upload: httpx.AsyncClient, blobs: Any, database: Database, photo: bytes
) -> None:
    blobs.away = True
    answer = await upload.post("/uploads", content=photo)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_away")
    assert "credentials" not in answer.text
    assert await intents(database) == 1
    blobs.away = False
    assert (await upload.post("/uploads", content=photo)).status_code == 201


async def test_thousands_of_hashes_are_answered_at_once(upload: httpx.AsyncClient, photo: bytes) -> None:
    receipt = (await upload.post("/uploads", content=photo)).json()
    unknown = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(4999)]
    answer = await upload.post("/uploads/exists", json={"sha256": [*unknown, receipt["sha256"]]})
    assert answer.json() == {"known": {receipt["sha256"]: receipt["photo_id"]}}
    assert (await upload.post("/uploads/exists", json={"sha256": [*unknown, "0" * 64, "1" * 64]})).status_code == 422


async def test_several_are_described_at_once(upload: httpx.AsyncClient, photo: bytes) -> None:
    receipt = (await upload.post("/uploads", content=photo)).json()
    answer = await upload.post("/uploads/query", json={"ids": [receipt["photo_id"], str(uuid4())]})
    [described] = answer.json()["uploads"]
    assert described == (await upload.get(f"/uploads/{receipt['photo_id']}")).json()


async def test_originals_come_back_whole_in_part_or_not_at_all(upload: httpx.AsyncClient, photo: bytes) -> None:
    receipt = (await upload.post("/uploads", content=photo, headers={"x-gallery-file": "a/b.jpg"})).json()
    place = f"/originals/{receipt['photo_id']}"

    whole = await upload.get(place)
    assert whole.content == photo
    assert whole.headers["content-type"] == "image/jpeg"
    assert "b.jpg" in whole.headers["content-disposition"]

    part = await upload.get(place, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, photo[100:200])
    assert (await upload.get(place, headers={"if-none-match": whole.headers["etag"]})).status_code == 304
    assert (await upload.get(place, headers={"range": f"bytes={len(photo)}-"})).status_code == 416


async def test_verify_finds_what_is_missing_damaged_or_unknown(
    upload: httpx.AsyncClient, blobs: Any, library: UUID
) -> None:
    receipts = [
        (await upload.post("/uploads", content=b"\xff\xd8\xff" + bytes([number]) * 10)).json() for number in range(3)
    ]
    assert (await upload.post("/verify")).json() == {"objects": 3, "findings": []}

    keys = [(await upload.get(f"/uploads/{receipt['photo_id']}")).json()["blob_key"] for receipt in receipts]
    del blobs.objects[keys[0]]
    blobs.objects[keys[1]] = b"\xff\xd8\xff" + bytes([7]) * 10
    blobs.objects[f"originals/{library}/stray"] = b"stray"
    found = {(finding["kind"], finding["key"]) for finding in (await upload.post("/verify")).json()["findings"]}
    assert found == {("missing", keys[0]), ("damaged", keys[1]), ("orphan", f"originals/{library}/stray")}


async def test_a_resync_says_every_original_again(upload: httpx.AsyncClient, database: Database, photo: bytes) -> None:
    receipt = (await upload.post("/uploads", content=photo)).json()
    assert (await upload.post("/resync")).json() == {"facts": 1}
    first, again = await facts(database)
    assert first.photo_id == again.photo_id == receipt["photo_id"]
    assert again.lane == uploads_pb2.LANE_BACKFILL
