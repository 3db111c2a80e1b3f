"""Originals that stay in a bucket of their owner: taken in without a copy, and held to what they were."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from support.outside import MemoryBucket

from gallery.adapters.in_place_blobs import InPlaceBlobs
from gallery.adapters.in_place_rules import AllowedPlaces
from gallery.adapters.s3_bucket import S3AwayError, S3ShutError
from gallery.events.v1 import uploads_pb2
from gallery.ports.elsewhere import REFERENCE
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.upload.main import serving
from gallery.upload.settings import UploadSettings

PLACE = "s3://archive/Anna's wedding/größe 1.jpg"
KEY = "Anna's wedding/größe 1.jpg"


@pytest.fixture
def archive(photo: bytes) -> MemoryBucket:
    """The owner's bucket, with one photo."""
    return MemoryBucket(**{KEY: photo})


@pytest_asyncio.fixture
async def upload(
    database: Database, blobs: Any, archive: MemoryBucket, library: UUID
) -> AsyncIterator[httpx.AsyncClient]:
    store = InPlaceBlobs(blobs, allowed=AllowedPlaces("s3://archive"), open_bucket=lambda _: archive)  # type: ignore[arg-type,return-value]
    settings = UploadSettings(largest_file=1_000_000)
    async with (
        serving(settings=settings, database=database, blobs=store, elsewhere=store) as app,
        httpx.AsyncClient(
            transport=AsgiTransport(app), base_url=f"http://upload/internal/v1/libraries/{library}"
        ) as client,
    ):
        yield client


async def take_in(upload: httpx.AsyncClient, place: str = PLACE, **said: str) -> httpx.Response:
    return await upload.post("/uploads/in-place", json={"path": "a.jpg", **said, "place": place})


async def rows(database: Database, statement: str) -> list[dict[str, Any]]:
    async with database.read() as connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def findings(upload: httpx.AsyncClient) -> list[str]:
    return [finding["kind"] for finding in (await upload.post("/verify")).json()["findings"]]


async def test_an_original_is_taken_in_where_it_lies(
    upload: httpx.AsyncClient, blobs: Any, database: Database, photo: bytes
) -> None:
    taken = (await take_in(upload, path="größe 1.jpg", lane="backfill")).json()
    digest = hashlib.sha256(photo).hexdigest()
    assert (taken["status"], taken["sha256"], taken["file"]) == ("accepted", digest, "größe 1.jpg")
    described = (await upload.get(f"/uploads/{taken['photo']}")).json()
    assert (described["file"], described["size"], described["media_type"]) == ("größe 1.jpg", len(photo), "image/jpeg")
    assert (await upload.get(f"/originals/{taken['photo']}")).content == photo
    part = await upload.get(f"/originals/{taken['photo']}", headers={"range": "bytes=100-199"})
    assert part.content == photo[100:200]
    assert sum(map(len, blobs.objects.values())) < 1000, "no byte of it is copied"
    [fact] = await rows(database, "SELECT data FROM outbox")
    assert fact["data"].count(b"wedding") == 0, "names that people gave are on no bus"
    uploaded = uploads_pb2.PhotoUploaded.FromString(fact["data"])
    assert (uploaded.sha256.hex(), uploaded.size_bytes, uploaded.lane) == (digest, len(photo), 2)
    assert uploaded.blob_key.endswith(REFERENCE)
    assert await rows(database, "SELECT FROM intents") == []


@pytest.mark.parametrize("change", ["replace", "remove"])
async def test_what_its_owner_changes_is_noticed_and_reported(
    upload: httpx.AsyncClient, archive: MemoryBucket, change: str
) -> None:
    photo_id = (await take_in(upload)).json()["photo"]
    assert await findings(upload) == []
    if change == "replace":
        archive.objects[KEY] = b"\xff\xd8\xff another"
    else:
        del archive.objects[KEY]
    assert await findings(upload) == ["changed" if change == "replace" else "missing"]
    answer = await upload.get(f"/originals/{photo_id}")
    assert (answer.status_code, answer.json()["code"]) == (410, "original_gone")


async def test_what_was_moved_is_found_again(
    upload: httpx.AsyncClient, archive: MemoryBucket, blobs: Any, photo: bytes
) -> None:
    first = (await take_in(upload)).json()
    archive.objects["2025/renamed.jpg"] = archive.objects.pop(KEY)
    again = await take_in(upload, "s3://archive/2025/renamed.jpg")
    assert (again.status_code, again.json()["status"]) == (200, "already_stored")
    assert again.json()["photo"] == first["photo"]
    assert (await upload.get(f"/originals/{first['photo']}")).content == photo
    assert await findings(upload) == []
    assert len(blobs.objects) == 1


async def test_a_second_copy_elsewhere_changes_nothing(upload: httpx.AsyncClient, archive: MemoryBucket) -> None:
    first = (await take_in(upload)).json()
    archive.objects["copy.jpg"] = archive.objects[KEY]
    assert (await take_in(upload, "s3://archive/copy.jpg")).json()["photo"] == first["photo"]
    del archive.objects["copy.jpg"]
    assert await findings(upload) == []


async def test_what_is_stored_as_a_copy_stays_one(upload: httpx.AsyncClient, blobs: Any, photo: bytes) -> None:
    stored = (await upload.post("/uploads", content=photo)).json()
    assert (await take_in(upload)).json()["photo"] == stored["photo_id"]
    assert list(blobs.objects.values()) == [photo]


async def test_what_cannot_be_taken_leaves_nothing(
    upload: httpx.AsyncClient, archive: MemoryBucket, blobs: Any, database: Database, photo: bytes
) -> None:
    archive.objects |= {"text": b"dear Anna", "empty": b"", "large": b"\xff\xd8\xff" + bytes(1_000_000)}
    for place, code in {
        "s3://archive/text": "unsupported_type",
        "s3://archive/empty": "empty_file",
        "s3://archive/large": "too_large",
        "s3://archive/gone": "place_unreadable",
        "s3://archive/a/../b": "place_unreadable",
        "s3://other/a.jpg": "place_refused",
        "/etc/passwd": "place_refused",
    }.items():
        assert (await take_in(upload, place)).json()["code"] == code
    other = hashlib.sha256(b"other").hexdigest()
    assert (await take_in(upload, sha256=other)).json()["code"] == "checksum_mismatch"
    await upload.patch("/quota", json={"bytes": len(photo) - 1})
    assert (await take_in(upload)).json()["code"] == "quota_reached"
    assert blobs.objects == {}
    assert await rows(database, "SELECT FROM intents") == []
    assert archive.objects[KEY] == photo


async def test_a_bucket_that_says_no_is_told_and_nobody_else_s_matter(
    upload: httpx.AsyncClient, archive: MemoryBucket
) -> None:
    photo_id = (await take_in(upload)).json()["photo"]
    archive.fault = S3ShutError("refused", code="AccessDenied")
    answer = await take_in(upload)
    assert (answer.status_code, answer.json()["code"]) == (422, "place_unreadable")
    assert "AccessDenied" in answer.json()["detail"]
    await upload.post("/uploads", content=b"\xff\xd8\xff another")
    assert await findings(upload) == ["unreadable"], "and the check goes on with all others"
    assert (await upload.get("/audit")).json()["faults"] == [], "which says nothing of the original"
    assert (await upload.get(f"/originals/{photo_id}")).status_code == 503
    archive.fault = None
    assert await findings(upload) == []


async def test_a_bucket_that_is_away_is_asked_again_later(upload: httpx.AsyncClient, archive: MemoryBucket) -> None:
    archive.fault = S3AwayError("does not answer")
    answer = await take_in(upload)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_away")


async def test_what_its_former_bucket_keeps_is_pointed_to_anew(
    upload: httpx.AsyncClient, archive: MemoryBucket, blobs: Any, photo: bytes
) -> None:
    photo_id = (await take_in(upload)).json()["photo"]
    [key] = blobs.objects
    archive.shut.add(KEY)
    archive.objects["copy.jpg"] = photo
    for damage in (None, b"no reference"):
        if damage is not None:
            blobs.objects[key] = damage
            assert await findings(upload) == ["damaged"]
        assert (await take_in(upload, "s3://archive/copy.jpg")).json()["status"] == "already_stored"
        assert (await upload.get(f"/originals/{photo_id}")).content == photo


async def test_one_library_reads_nothing_of_another_by_a_reference(
    database: Database, blobs: Any, photo: bytes, library: UUID
) -> None:
    archive, stranger = MemoryBucket(**{f"{library}/a.jpg": photo}), uuid4()
    store = InPlaceBlobs(blobs, allowed=AllowedPlaces("s3://archive/{library}"), open_bucket=lambda _: archive)  # type: ignore[arg-type,return-value]
    async with (
        serving(settings=UploadSettings(), database=database, blobs=store, elsewhere=store) as app,
        httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://upload/internal/v1/libraries/") as client,
    ):
        place = {"path": "a.jpg", "place": f"s3://archive/{library}/a.jpg"}
        taken = (await client.post(f"{library}/uploads/in-place", json=place)).json()
        assert taken["status"] == "accepted"
        archive.asked.clear()
        ways = (place["place"], f"s3://archive/{stranger}/../{library}/a.jpg", f"s3://archive/{library}%2Fa.jpg")
        for way in ways:
            refused = await client.post(f"{stranger}/uploads/in-place", json={**place, "place": way})
            assert refused.json()["code"] in {"place_refused", "place_unreadable"}
        assert (await client.get(f"{stranger}/originals/{taken['photo']}")).status_code == 404
        assert archive.asked == [], "nobody even looks"


async def test_a_gallery_without_places_says_so(database: Database, blobs: Any, library: UUID) -> None:
    async with serving(settings=UploadSettings(), database=database, blobs=blobs) as app:
        place = f"http://upload/internal/v1/libraries/{library}"
        async with httpx.AsyncClient(transport=AsgiTransport(app), base_url=place) as client:
            assert (await take_in(client)).json()["code"] == "place_refused"
