"""The gateway over the real upload service: what a client sends arrives whole, once, and checked."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest_asyncio
from support.measured import Growth

from gallery.adapters.local_blobs import LocalBlobs
from gallery.gateway.domain import Owner, digest
from gallery.gateway.main import build
from gallery.gateway.settings import GatewaySettings
from gallery.runtime import partitions
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.upload.main import serving
from gallery.upload.settings import UploadSettings

JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 2000


@pytest_asyncio.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    await migrate(database_url, schema="upload", packages=["gallery.upload"])
    async with Database.open(database_url, schema="upload") as database:
        await partitions.renew(database)
        async with (
            serving(settings=UploadSettings(), database=database, blobs=LocalBlobs(tmp_path)) as upload,
            httpx.AsyncClient(transport=AsgiTransport(upload), base_url="http://upload") as inside,
        ):
            app = build(
                settings=GatewaySettings(),
                owner=Owner(uuid4(), uuid4(), digest("token")),
                services=dict.fromkeys(("upload", "metadata", "ml_worker", "search"), inside),
                effective_settings=(),
                ready=None,
            )
            headers = {"authorization": "Bearer token"}
            async with httpx.AsyncClient(
                transport=AsgiTransport(app), base_url="http://localhost/api/v1", headers=headers
            ) as outside:
                yield outside


async def test_a_form_of_good_and_bad_files(client: httpx.AsyncClient) -> None:
    form: Any = [
        ("sha256", (None, hashlib.sha256(JPEG).hexdigest())),
        ("file", ("first.jpg", JPEG)),
        ("file", ("again.jpg", JPEG)),
        ("sha256", (None, "0" * 64)),
        ("file", ("damaged.jpg", JPEG + b"x")),
        ("file", ("empty.jpg", b"")),
        ("file", ("letter.txt", b"dear Anna")),
        ("file", ("second.jpg", JPEG + b"y")),
    ]
    uploads = (await client.post("/uploads", files=form)).json()["uploads"]
    assert [(entry["file"], entry["status"], entry.get("code")) for entry in uploads] == [
        ("first.jpg", "accepted", None),
        ("again.jpg", "already_stored", None),
        ("damaged.jpg", "rejected", "checksum_mismatch"),
        ("empty.jpg", "rejected", "empty_file"),
        ("letter.txt", "rejected", "unsupported_type"),
        ("second.jpg", "accepted", None),
    ]
    assert uploads[0]["photo"] == uploads[1]["photo"]


async def test_bytes_are_counted_that_are_new_here(client: httpx.AsyncClient) -> None:
    async with Growth() as growth:
        for content in (JPEG, JPEG, JPEG + b"y", b"dear Anna"):
            await client.post("/uploads", files=[("file", ("a.jpg", content))])
        assert await growth.of("gallery_uploaded_bytes_total") == 2 * len(JPEG) + 1


async def test_what_went_in_comes_out(client: httpx.AsyncClient) -> None:
    sent = (await client.post("/uploads", files=[("file", ("a.jpg", JPEG))])).json()["uploads"][0]
    sha256 = hashlib.sha256(JPEG).hexdigest()
    assert (await client.post("/uploads/exists", json={"sha256": [sha256]})).json() == {
        "known": {sha256: sent["photo"]}
    }
    original = await client.get(f"/photos/{sent['photo']}/original", headers={"range": "bytes=3-1002"})
    assert (original.status_code, original.content) == (206, JPEG[3:1003])
    assert original.headers["etag"] == f'"{sha256}"'


async def test_a_gallery_over_a_folder_takes_no_direct_uploads(client: httpx.AsyncClient) -> None:
    announced = {"path": "a.jpg", "size": len(JPEG), "sha256": hashlib.sha256(JPEG).hexdigest()}
    for answer in (
        await client.post("/uploads/direct", json=announced),
        await client.post(f"/uploads/direct/{uuid4()}/complete"),
        await client.delete(f"/uploads/direct/{uuid4()}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "no_direct_uploads")
        assert "POST them to /api/v1/uploads" in answer.json()["detail"]
