"""The whole metadata service: its consumer, its jail and its API, with nobody else there."""

import asyncio
import hashlib
import io
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from PIL import Image
from support.metadata import LIBRARY, UPLOADED_AT, BytesBlobs, analysed, fact, indexed, proposed

from gallery.adapters.memory_bus import MemoryBus
from gallery.events.topics import Topic
from gallery.events.v1.uploads_pb2 import PhotoUploaded
from gallery.metadata.main import SERVICE, consuming, serving
from gallery.metadata.settings import MetadataSettings
from gallery.ports.bus import Message
from gallery.runtime import partitions
from gallery.runtime.database import Database
from gallery.runtime.http import create_app
from gallery.runtime.ids import uuid7
from gallery.runtime.migrations import migrate

ALL_DONE = dict.fromkeys(["rendered", "faces", "tags", "text", "people"], "done")

PATIENCE_SECONDS = 120
"""The folder with the most headers takes twenty on a busy machine."""


@dataclass
class Gallery:
    """The service at work, and what its neighbours say to it."""

    bus: MemoryBus
    blobs: BytesBlobs
    uploads: dict[str, dict[str, Any]]
    http: httpx.AsyncClient

    async def upload(self, file: str, content: bytes, media_type: str) -> UUID:
        photo_id = uuid7()
        key = f"{LIBRARY}/{photo_id}"
        self.blobs.content[key] = content
        self.uploads[str(photo_id)] = {
            "photo_id": str(photo_id),
            "file": file,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "media_type": media_type,
            "modified_at": None,
            "uploaded_at": UPLOADED_AT.isoformat(),
            "blob_key": key,
        }
        body = PhotoUploaded(photo_id=str(photo_id), blob_key=key, media_type=media_type)
        await self.say(fact(Topic.UPLOADS, photo_id, body, revision=1))
        return photo_id

    async def say(self, *messages: Message) -> None:
        await self.bus.publish(messages)

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        answer = await self.http.request(method, f"/internal/v1/libraries/{LIBRARY}{path}", **more)
        assert answer.is_success, answer.text
        return answer.json()

    async def dead_letters(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = (await self.http.get("/internal/v1/dead-letters")).json()["dead_letters"]
                if found:
                    return list(found)
                await asyncio.sleep(0.02)

    async def photo(self, photo_id: UUID, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = (await self.ask("POST", "/photos/query", json={"ids": [str(photo_id)]}))["photos"]
                if found and until(found[0]):
                    return dict(found[0])
                await asyncio.sleep(0.02)


def described(photo: dict[str, Any]) -> bool:
    return bool(photo["stages"]["described"]["state"] != "pending")


@asynccontextmanager
async def gallery(url: str) -> AsyncIterator[Gallery]:
    await migrate(url, schema=SERVICE, packages=["gallery.metadata"])
    async with Database.open(url, schema=SERVICE, size=1) as database:
        await partitions.renew(database)
    uploads: dict[str, dict[str, Any]] = {}
    neighbour = create_app(title="upload", routers=[])

    @neighbour.get("/internal/v1/libraries/{library_id}/uploads/{photo_id}")
    async def original(library_id: UUID, photo_id: UUID) -> dict[str, Any]:
        assert library_id == LIBRARY
        return uploads[str(photo_id)]

    bus, blobs = MemoryBus(), BytesBlobs()
    async with (
        Database.open(url, schema=SERVICE) as database,
        httpx.AsyncClient(transport=httpx.ASGITransport(neighbour), base_url="http://upload") as upload,
        consuming(settings=MetadataSettings(), database=database, blobs=blobs, bus=bus, upload=upload),  # type: ignore[arg-type]
        serving(settings=MetadataSettings(), database=database) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metadata") as http,
    ):
        yield Gallery(bus, blobs, uploads, http)


async def test_a_photo_becomes_known(database_url: str) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    async with gallery(database_url) as here:
        assert (await here.http.get("/health/ready")).json()["status"] == "ready"
        photo_id = await here.upload("2020-02-29 10.11.12.png", picture.getvalue(), "image/png")
        face, anna = uuid7(), uuid7()
        await here.say(
            analysed(photo_id, ALL_DONE, revision=1), proposed(photo_id, {face: (anna, "assigned")}, revision=2)
        )
        found = await here.photo(photo_id, lambda photo: photo["revision"] == 3)
        assert (found["taken_at"], found["taken_from"]) == ("2020-02-29T10:11:12", "file_name")
        await here.say(indexed(photo_id, 3))
        await here.photo(photo_id, lambda photo: photo["stages"]["indexed"]["state"] == "done")
        progress = await here.ask("POST", "/photos/progress", json={"ids": [str(photo_id)]})
        assert progress == {"pending": 0, "done": 1, "failed": 0, "rejected": []}
        assert (await here.ask("GET", "/ledger"))["consistent"]
        assert (await here.http.get("/internal/v1/dead-letters")).json() == {"dead_letters": []}


async def test_what_cannot_be_handled_is_a_dead_letter_and_can_be_replayed(database_url: str) -> None:
    async with gallery(database_url) as here:
        await here.say(fact(Topic.UPLOADS, uuid7(), PhotoUploaded(photo_id="none"), revision=1))
        good = await here.upload("IMG_20240131_235959.jpg", b"\xff\xd8", "image/jpeg")
        await here.photo(good, described)
        letters = await here.dead_letters()
        assert "MalformedFactError" in letters[0]["cause"]
        path = f"/internal/v1/dead-letters/{letters[0]['id']}"
        assert (await here.http.get(path)).json()["data"]
        assert (await here.http.post(f"{path}/replay")).json() == {"replayed": 1}
        assert (await here.http.get(f"/internal/v1/dead-letters/{uuid7()}")).status_code == 404


def endless_directory() -> bytes:
    """A TIFF whose directory has 65,535 entries of 999 values: 260 MB of numbers out of 800 KB."""
    entry = struct.pack("<HHII", 0x9999, 4, 999, 8)
    return b"II*\x00" + struct.pack("<IH", 8, 65_535) + entry * 65_535


async def test_a_header_made_to_harm_harms_nobody(database_url: str) -> None:
    async with gallery(database_url) as here:
        harmful = [await here.upload(f"{n}.tiff", endless_directory(), "image/tiff") for n in range(2)]
        good = await here.upload("IMG_20240131_235959.jpg", b"\xff\xd8", "image/jpeg")
        assert (await here.photo(good, described))["stages"]["described"]["state"] == "done"
        for photo_id in harmful:
            found = await here.photo(photo_id, described)
            assert found["stages"]["described"]["state"] == "done"
            assert found["stages"]["described"]["reason"] == "header_limits"
            assert found["taken_from"] == "upload_time"


MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".tiff": "image/tiff",
    ".tif": "image/tiff",
    ".avif": "image/avif",
    ".webp": "image/webp",
    ".png": "image/png",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".nef": "image/x-nikon-nef",
    ".dng": "image/x-adobe-dng",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
}


@pytest.mark.parametrize("folder", ["exif", "formats", "video"])
async def test_every_real_file_is_described(shared: Path, database_url: str, folder: str) -> None:
    files = [file for file in sorted((shared / "photos" / folder).iterdir()) if file.suffix.lower() in MEDIA_TYPES]
    async with gallery(database_url) as here:
        ids = [await here.upload(file.name, file.read_bytes(), MEDIA_TYPES[file.suffix.lower()]) for file in files]
        found = [await here.photo(photo_id, described) for photo_id in ids]
        assert {photo["stages"]["described"]["state"] for photo in found} == {"done"}
        assert {photo["stages"]["described"]["reason"] for photo in found} <= {"", "no_header", "broken_header"}
        page = await here.ask("GET", "/photos", params={"limit": 500})
        assert [photo["taken_at"] for photo in page["photos"]] == sorted(
            (photo["taken_at"] for photo in found), reverse=True
        )
