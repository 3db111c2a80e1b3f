"""Files sent straight to a real S3 store, begun and completed at the gateway: what is no whole photo becomes none."""

import hashlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from support.blobs import everything_in
from support.engines.versitygw import Versitygw, running
from support.waiting import expect_soon

from gallery.adapters import s3_bucket
from gallery.adapters.s3_blobs import S3Blobs
from gallery.adapters.s3_bucket import S3Bucket
from gallery.adapters.s3_direct_uploads import S3DirectUploads
from gallery.gateway.domain import Owner, digest
from gallery.gateway.main import build
from gallery.gateway.settings import GatewaySettings
from gallery.runtime import partitions
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.runtime.neighbours import client
from gallery.upload import direct
from gallery.upload.main import serving
from gallery.upload.settings import UploadSettings

pytestmark = pytest.mark.engine

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 2000
FILM_SIZE = 300_000_000
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
PART = 16 << 20
HUNG_UP = 0


class Client:
    """A client of the public API that sends the bytes of files itself.

    Attributes:
        gallery: The public API.
        inside: The upload service's place of the library.
        network: Everything else.
        database: Of the upload service, to look at what was said.
    """

    def __init__(
        self, gallery: httpx.AsyncClient, inside: httpx.AsyncClient, network: httpx.AsyncClient, database: Database
    ) -> None:
        self.gallery = gallery
        self.inside = inside
        self.network = network
        self.database = database

    async def begin(self, content: bytes, **more: Any) -> dict[str, Any]:
        announced = {"path": "a.jpg", "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **more}
        answer = await self.gallery.post("/uploads/direct", json=announced)
        assert answer.status_code == 200, answer.text
        upload: dict[str, Any] = answer.json()
        return upload

    async def signed(self, upload: dict[str, Any], number: int, content: bytes) -> dict[str, Any]:
        wanted = {"parts": [{"number": number, "sha256": hashlib.sha256(content).hexdigest()}]}
        answer = await self.gallery.post(f"/uploads/direct/{upload['id']}/parts", json=wanted)
        request: dict[str, Any] = answer.json()["requests"][0]
        return request

    async def put(self, request: dict[str, Any], content: bytes, *, length: int | None = None) -> int:
        """Send a part; the length may be another than was signed. What was hung up on got no status."""
        headers = request["headers"] | ({} if length is None else {"Content-Length": str(length)})
        try:
            answer = await self.network.request(request["method"], request["url"], content=content, headers=headers)
        except (httpx.ReadError, httpx.WriteError):  # the store has refused, and does not read the rest
            return HUNG_UP
        return answer.status_code

    async def complete(self, upload: dict[str, Any]) -> httpx.Response:
        return await self.gallery.post(f"/uploads/direct/{upload['id']}/complete")

    async def sent(self, upload: dict[str, Any]) -> list[int]:
        sent: list[int] = (await self.gallery.get(f"/uploads/direct/{upload['id']}")).json()["sent"]
        return sent

    async def photos(self) -> int:
        """How many photos were said to be there, each of which is whole."""
        assert (await self.inside.post("/verify")).json()["findings"] == []
        async with self.database.read() as connection:
            row = await (await connection.execute("SELECT count(*) AS count FROM outbox")).fetchone()
        assert row is not None
        return int(row["count"])


@asynccontextmanager
async def gallery_over(bucket: S3Bucket, database_url: str) -> AsyncIterator[Client]:
    await migrate(database_url, schema="upload", packages=["gallery.upload"])
    async with Database.open(database_url, schema="upload") as database:
        await partitions.renew(database)
        store = S3DirectUploads(bucket)
        library = uuid4()
        async with (
            serving(settings=UploadSettings(), database=database, blobs=S3Blobs(bucket), store=store) as upload,
            client("http://upload", transport=AsgiTransport(upload)) as inside,
            client(f"http://upload/internal/v1/libraries/{library}", transport=AsgiTransport(upload)) as of_library,
        ):
            app = build(
                settings=GatewaySettings(),
                owner=Owner(uuid4(), library, digest("token")),
                services=dict.fromkeys(("upload", "metadata", "ml_worker", "search"), inside),
                effective_settings=(),
                ready=None,
            )
            headers = {"authorization": "Bearer token"}
            async with (
                httpx.AsyncClient(
                    transport=AsgiTransport(app), base_url="http://localhost/api/v1", headers=headers
                ) as outside,
                httpx.AsyncClient(timeout=60) as network,
            ):
                yield Client(outside, of_library, network, database)


@pytest_asyncio.fixture
async def gallery(s3_bucket: S3Bucket, database_url: str) -> AsyncIterator[Client]:
    async with gallery_over(s3_bucket, database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film by its head, of other bytes everywhere."""
    file = tmp_path_factory.mktemp("film") / "film.mp4"
    with file.open("wb") as opened:
        opened.write(MP4)
        while rest := FILM_SIZE - opened.tell():
            opened.write(os.urandom(min(rest, PART)))
    return file


def cut_off(request: dict[str, Any], content: bytes) -> None:
    """Send half of it and hang up."""
    address = urlsplit(request["url"])
    lines = [f"{request['method']} {address.path}?{address.query} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in request["headers"].items()]
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + content[: len(content) // 2])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# Photos


async def test_a_photo_sent_to_the_store_is_one_of_the_gallery(gallery: Client, s3_bucket: S3Bucket) -> None:
    upload = await gallery.begin(PHOTO, path="Sommer/a.jpg", type="image/jpeg")
    [request] = upload["requests"]
    assert await gallery.put(request, PHOTO) == 200
    assert await gallery.photos() == 0
    photo = (await gallery.complete(upload)).json()
    assert (photo["file"], photo["status"]) == ("Sommer/a.jpg", "accepted")
    assert (await gallery.complete(upload)).json() == photo
    assert (await gallery.gallery.get(f"/photos/{photo['photo']}/original")).content == PHOTO
    assert (await gallery.begin(PHOTO))["status"] == "already_stored"
    [key] = await everything_in(s3_bucket)
    assert key.startswith("originals/")
    assert await gallery.photos() == 1


async def test_no_photo_comes_of_a_cut_a_wrong_length_or_wrong_bytes(gallery: Client, s3_bucket: S3Bucket) -> None:
    upload = await gallery.begin(PHOTO)
    [request] = upload["requests"]
    cut_off(request, PHOTO)
    damaged = PHOTO[:-1] + b"x"
    assert await gallery.put(request, PHOTO[:-1], length=len(PHOTO) - 1) in {403, HUNG_UP}
    assert await gallery.put(request, PHOTO + b"x", length=len(PHOTO) + 1) in {403, HUNG_UP}
    assert await gallery.put(request, damaged) in {400, HUNG_UP}
    assert code(await gallery.complete(upload)) == (409, "parts_missing")
    assert await everything_in(s3_bucket) == []
    assert await gallery.photos() == 0

    assert await gallery.put(await gallery.signed(upload, 1, PHOTO), PHOTO) == 200
    assert (await gallery.complete(upload)).json()["status"] == "accepted"


async def test_no_photo_comes_of_a_wrong_type(gallery: Client, s3_bucket: S3Bucket) -> None:
    letter = b"dear Anna, " * 1000
    upload = await gallery.begin(letter, path="a.jpg", type="image/jpeg")
    assert await gallery.put(upload["requests"][0], letter) == 200
    assert code(await gallery.complete(upload)) == (415, "unsupported_type")
    assert await everything_in(s3_bucket) == []
    assert await gallery.photos() == 0


async def test_who_aborts_leaves_nothing(gallery: Client, s3_bucket: S3Bucket) -> None:
    upload = await gallery.begin(PHOTO)
    assert await gallery.put(upload["requests"][0], PHOTO) == 200
    assert (await gallery.gallery.delete(f"/uploads/direct/{upload['id']}")).status_code == 204
    assert code(await gallery.complete(upload)) == (404, "unknown_upload")
    assert await everything_in(s3_bucket) == []
    assert await gallery.photos() == 0


# A film


def part_of(film: Path, number: int) -> bytes:
    with film.open("rb") as opened:
        opened.seek((number - 1) * PART)
        return opened.read(PART)


async def sha256_of(answer: httpx.Response) -> str:
    whole = hashlib.sha256()
    async for chunk in answer.aiter_bytes():
        whole.update(chunk)
    return whole.hexdigest()


async def test_a_film_with_every_accident_on_its_way_is_read_back_equal(
    gallery: Client, s3_bucket: S3Bucket, film: Path
) -> None:
    with film.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    announced = {"path": "film.mp4", "size": FILM_SIZE, "sha256": sha256}
    upload = (await gallery.gallery.post("/uploads/direct", json=announced)).json()
    assert (upload["part_size"], upload["parts"]) == (PART, 18)

    start = part_of(film, 1)
    first = await gallery.signed(upload, 1, start)
    cut_off(first, start)
    assert await gallery.put(first, part_of(film, 2)) in {400, HUNG_UP}  # a wrong part
    assert await gallery.put(first, start[:-1], length=PART - 1) in {403, HUNG_UP}
    assert await gallery.sent(upload) == []
    for number in range(2, 18):
        part = part_of(film, number)
        assert await gallery.put(await gallery.signed(upload, number, part), part) == 200
    answer = await gallery.complete(upload)
    assert (code(answer), answer.json()["missing"]) == ((409, "parts_missing"), [1, 18])
    assert await gallery.photos() == 0

    again = (await gallery.gallery.post("/uploads/direct", json=announced)).json()
    assert (again["id"], again["sent"]) == (upload["id"], list(range(2, 18)))
    for number in (1, 18):
        part = part_of(film, number)
        assert await gallery.put(await gallery.signed(upload, number, part), part) == 200
    photo = (await gallery.complete(upload)).json()
    assert photo["status"] == "accepted"
    async with gallery.gallery.stream("GET", f"/photos/{photo['photo']}/original") as original:
        assert original.headers["content-type"] == "video/mp4"
        assert await sha256_of(original) == sha256
    [key] = await everything_in(s3_bucket)
    assert key.startswith("originals/")
    assert await gallery.photos() == 1


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, bytes]:
    """Have two parts of 5 MiB sent as a film would be."""
    monkeypatch.setattr("gallery.adapters.s3_direct_uploads._LARGEST_PIECE", 5 << 20)
    monkeypatch.setattr("gallery.adapters.s3_direct_uploads._PART", 5 << 20)
    content = MP4 + os.urandom((10 << 20) - len(MP4))
    return content[: 5 << 20], content[5 << 20 :]


async def test_no_photo_comes_of_parts_in_another_order(
    gallery: Client, s3_bucket: S3Bucket, small_parts: tuple[bytes, bytes]
) -> None:
    upload = await gallery.begin(b"".join(small_parts))
    for number, part in enumerate(reversed(small_parts), start=1):
        assert await gallery.put(await gallery.signed(upload, number, part), part) == 200
    for _ in range(2):
        assert code(await gallery.complete(upload)) == (422, "checksum_mismatch")
    assert await everything_in(s3_bucket) == []
    assert await gallery.photos() == 0


async def test_what_the_store_lost_is_sent_again(
    gallery: Client, s3_bucket: S3Bucket, small_parts: tuple[bytes, bytes]
) -> None:
    upload = await gallery.begin(b"".join(small_parts))
    requests = [await gallery.signed(upload, number, part) for number, part in enumerate(small_parts, start=1)]
    assert await gallery.put(requests[0], small_parts[0]) == 200
    assert await S3Blobs(s3_bucket).sweep(older_than=timedelta(0)) == 1
    assert await gallery.put(requests[1], small_parts[1]) in {404, HUNG_UP}
    answer = await gallery.complete(upload)
    assert (code(answer), answer.json()["missing"]) == ((409, "parts_missing"), [1, 2])
    for number, part in enumerate(small_parts, start=1):
        assert await gallery.put(await gallery.signed(upload, number, part), part) == 200
    assert (await gallery.complete(upload)).json()["status"] == "accepted"
    assert await gallery.photos() == 1


async def test_an_expired_signature_is_given_anew(
    gallery: Client, small_parts: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await gallery.begin(b"".join(small_parts))
    with monkeypatch.context() as patched:
        patched.setattr(direct, "SIGNED_FOR", timedelta(seconds=1))
        request = await gallery.signed(upload, 1, small_parts[0])

    async def refused() -> bool:
        return await gallery.put(request, small_parts[0]) in {403, HUNG_UP}

    await expect_soon(refused)
    for number, part in enumerate(small_parts, start=1):
        assert await gallery.put(await gallery.signed(upload, number, part), part) == 200
    assert (await gallery.complete(upload)).json()["status"] == "accepted"


# A store that goes away


@pytest.fixture
def mortal_store(tmp_path: Path) -> Iterator[Versitygw]:
    with running(Versitygw(tmp_path / "store")) as engine:
        yield engine


async def test_a_store_that_was_away_goes_on_where_it_was(
    mortal_store: Versitygw, database_url: str, small_parts: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_bucket, "_ATTEMPTS", 1)
    with closing(S3Bucket(mortal_store.settings())) as bucket:
        async with gallery_over(bucket, database_url) as gallery:
            upload = await gallery.begin(b"".join(small_parts))
            first, last = small_parts
            assert await gallery.put(await gallery.signed(upload, 1, first), first) == 200
            mortal_store.kill()
            with pytest.raises(httpx.TransportError):
                await gallery.put(await gallery.signed(upload, 2, last), last)
            assert code(await gallery.complete(upload)) == (503, "storage_away")
            announced = {"path": "a.jpg", "size": len(PHOTO), "sha256": hashlib.sha256(PHOTO).hexdigest()}
            form: Any = {"file": ("a.jpg", PHOTO)}
            assert code(await gallery.gallery.post("/uploads", files=form)) == (503, "storage_away")
            begun = await gallery.gallery.post("/uploads/direct", json=announced)
            assert begun.status_code == 200  # a single part needs no word of the store

            mortal_store.start()
            assert await gallery.sent(upload) == [1]
            assert await gallery.put(await gallery.signed(upload, 2, last), last) == 200
            assert (await gallery.complete(upload)).json()["status"] == "accepted"
            assert await gallery.photos() == 1
