"""What every store that takes uploads from clients does, by what clients may try."""

import base64
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from support.blobs import content_of, keys_of, pieces, sha256
from support.engines.versitygw import Versitygw

from gallery.adapters import s3_direct_uploads
from gallery.adapters.s3_blobs import S3Blobs
from gallery.adapters.s3_bucket import S3Bucket
from gallery.adapters.s3_direct_uploads import S3DirectUploads
from gallery.ports.blobs import BlobMismatchError, BlobNotFoundError, StoredBlob
from gallery.ports.direct_uploads import DirectUpload, Piece, SignedRequest

pytestmark = pytest.mark.engine

SHORTLY = timedelta(minutes=15)
PART = 5 << 20
PHOTO = b"a photo"


@pytest.fixture
def uploads(s3_bucket: S3Bucket) -> S3DirectUploads:
    return S3DirectUploads(s3_bucket)


@pytest.fixture
def blobs(s3_bucket: S3Bucket) -> S3Blobs:
    return S3Blobs(s3_bucket)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have uploads of a few megabytes sent in parts."""
    monkeypatch.setattr(s3_direct_uploads, "_LARGEST_PIECE", PART)


async def begun(uploads: S3DirectUploads, content: bytes) -> tuple[DirectUpload, list[Piece]]:
    upload = await uploads.begin(size=len(content), sha256=sha256(content))
    size = len(content) if upload.parts_id is None else PART
    cut = [content[at : at + size] for at in range(0, len(content), size)]
    return upload, [Piece(number, len(piece), sha256(piece)) for number, piece in enumerate(cut, start=1)]


def send(request: SignedRequest, content: bytes, **other_headers: str) -> int:
    headers = {**request.headers, **{name.replace("_", "-"): value for name, value in other_headers.items()}}
    return httpx.request(request.method, request.url, content=content, headers=headers).status_code


def send_cut_off(request: SignedRequest, content: bytes) -> None:
    """Send half of it and hang up."""
    address = urlsplit(request.url)
    assert address.hostname is not None
    lines = [f"{request.method} {address.path}?{address.query} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + content[: len(content) // 2])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass


async def staged(bucket: S3Bucket) -> list[str]:
    """Return what lies in the bucket and is no blob."""
    found = []
    async for page in bucket.pages("list_objects_v2", Prefix="!"):
        found += [entry["Key"] for entry in page.get("Contents", ())]
    async for page in bucket.pages("list_multipart_uploads"):
        found += [f"parts of {entry['Key']}" for entry in page.get("Uploads", ())]
    return found


# One piece


async def test_a_photo_goes_straight_to_the_store(
    s3_bucket: S3Bucket, uploads: S3DirectUploads, blobs: S3Blobs
) -> None:
    upload, (piece,) = await begun(uploads, PHOTO)
    assert send(uploads.sign(upload, piece, valid_for=SHORTLY), PHOTO) == 200
    assert await keys_of(blobs) == []
    stored = await uploads.accept(upload, key="library/a")
    assert stored == StoredBlob(key="library/a", size=len(PHOTO), sha256=sha256(PHOTO))
    assert await blobs.stat("library/a") == stored
    assert await content_of(blobs, "library/a") == PHOTO
    assert await staged(s3_bucket) == []


async def test_everything_that_matters_is_signed(uploads: S3DirectUploads) -> None:
    upload, (piece,) = await begun(uploads, PHOTO)
    request = uploads.sign(upload, piece, valid_for=timedelta(seconds=90))
    query = parse_qs(urlsplit(request.url).query)
    assert query["X-Amz-Expires"] == ["90"]
    assert set(query["X-Amz-SignedHeaders"][0].split(";")) == {"host", *map(str.lower, request.headers)}
    assert request.headers == {
        "Content-Length": "7",
        "x-amz-checksum-sha256": base64.b64encode(sha256(PHOTO)).decode(),
        "If-None-Match": "*",
    }


async def test_other_bytes_than_announced_are_not_taken(s3_bucket: S3Bucket, uploads: S3DirectUploads) -> None:
    upload, (piece,) = await begun(uploads, PHOTO)
    request = uploads.sign(upload, piece, valid_for=SHORTLY)
    other = base64.b64encode(sha256(b"a ph0to")).decode()
    assert send(request, b"a ph0to") == 400
    assert send(request, b"a ph0to", x_amz_checksum_sha256=other) == 403
    assert send(request, b"a photo and more", Content_Length="16") == 403
    assert send(request, b"a", Content_Length="1") == 403
    without = SignedRequest(request.method, request.url, {"Content-Length": "7"})
    assert send(without, b"a ph0to") == 403
    elsewhere = SignedRequest(request.method, request.url.replace("staging/", "staging/0"), request.headers)
    assert send(elsewhere, PHOTO) == 403
    send_cut_off(request, PHOTO)
    assert await staged(s3_bucket) == []
    with pytest.raises(BlobNotFoundError):
        await uploads.accept(upload, key="a")


async def test_a_request_works_once(uploads: S3DirectUploads, blobs: S3Blobs) -> None:
    upload, (piece,) = await begun(uploads, PHOTO)
    request = uploads.sign(upload, piece, valid_for=SHORTLY)
    assert [send(request, PHOTO), send(request, PHOTO)] == [200, 412]
    await uploads.accept(upload, key="a")
    await blobs.delete("a")
    send(request, PHOTO)
    assert await keys_of(blobs) == []  # whatever it did, it brought no blob back
    await blobs.sweep(older_than=timedelta(0))


async def test_one_piece_is_the_whole(uploads: S3DirectUploads) -> None:
    upload, _ = await begun(uploads, PHOTO)
    for other in (Piece(2, len(PHOTO), sha256(PHOTO)), Piece(1, 3, sha256(PHOTO)), Piece(1, 7, sha256(b"x"))):
        with pytest.raises(ValueError, match="one piece"):
            uploads.sign(upload, other, valid_for=SHORTLY)
    with pytest.raises(ValueError, match="nothing"):
        await uploads.begin(size=0, sha256=sha256(b""))


# Parts


@pytest.mark.usefixtures("in_parts")
async def test_a_film_goes_in_parts_in_any_order(s3_bucket: S3Bucket, uploads: S3DirectUploads, blobs: S3Blobs) -> None:
    content = os.urandom(2 * PART + 1000)
    upload, cut = await begun(uploads, content)
    for piece in reversed(cut):
        at = (piece.number - 1) * PART
        request = uploads.sign(upload, piece, valid_for=SHORTLY)
        assert send(request, content[at : at + piece.size]) == 200
    assert await keys_of(blobs) == []
    stored = await uploads.accept(upload, key="film")
    assert await blobs.stat("film") == stored == StoredBlob(key="film", size=len(content), sha256=sha256(content))
    assert await content_of(blobs, "film") == content
    assert await staged(s3_bucket) == []


@pytest.mark.usefixtures("in_parts")
async def test_a_harmed_part_is_not_taken_and_may_be_sent_anew(uploads: S3DirectUploads, blobs: S3Blobs) -> None:
    content = os.urandom(PART + 1000)
    upload, (first, last) = await begun(uploads, content)
    request = uploads.sign(upload, first, valid_for=SHORTLY)
    assert send(request, bytes(PART)) == 400
    assert send(request, content[: PART - 1], Content_Length=str(PART - 1)) == 403
    send_cut_off(request, content[:PART])
    assert send(uploads.sign(upload, last, valid_for=SHORTLY), content[PART:]) == 200
    with pytest.raises(BlobMismatchError):
        await uploads.accept(upload, key="film")
    assert send(request, content[:PART]) == 200
    assert send(request, content[:PART]) == 200
    await uploads.accept(upload, key="film")
    assert await content_of(blobs, "film") == content
    assert send(request, content[:PART]) == 404


@pytest.mark.usefixtures("in_parts")
async def test_parts_that_are_not_the_whole_that_was_announced(
    s3_bucket: S3Bucket, uploads: S3DirectUploads, blobs: S3Blobs
) -> None:
    content = os.urandom(PART + 1000)
    upload = await uploads.begin(size=len(content), sha256=sha256(b"another"))
    for number, part in enumerate((content[:PART], content[PART:]), start=1):
        piece = Piece(number, len(part), sha256(part))
        assert send(uploads.sign(upload, piece, valid_for=SHORTLY), part) == 200
    with pytest.raises(BlobMismatchError):
        await uploads.accept(upload, key="film")
    assert await keys_of(blobs) == []
    assert await staged(s3_bucket) == []


# Ends


async def sent(uploads: S3DirectUploads, content: bytes) -> DirectUpload:
    upload, cut = await begun(uploads, content)
    at = 0
    for piece in cut:
        assert send(uploads.sign(upload, piece, valid_for=SHORTLY), content[at : at + piece.size]) == 200
        at += piece.size
    return upload


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("size", [1000, PART + 1000])
@pytest.mark.parametrize("lost", ["complete_multipart_upload", "upload_part_copy", "delete_object"])
async def test_accepting_goes_on_where_it_broke(
    s3_bucket: S3Bucket, uploads: S3DirectUploads, blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch, size: int, lost: str
) -> None:
    content = os.urandom(size)
    upload = await sent(uploads, content)
    ask = s3_bucket.ask

    async def breaking(operation: str, **arguments: Any) -> dict[str, Any]:
        answer = await ask(operation, **arguments)
        if operation == lost:
            raise ConnectionResetError
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(s3_bucket, "ask", breaking)
        with pytest.raises(ConnectionResetError):
            await uploads.accept(upload, key="film")
    stored = await uploads.accept(upload, key="film")
    assert await uploads.accept(upload, key="film") == stored == await blobs.stat("film")
    assert await content_of(blobs, "film") == content
    assert await staged(s3_bucket) == []


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("size", [1000, PART + 1000])
async def test_what_is_abandoned_is_gone(s3_bucket: S3Bucket, uploads: S3DirectUploads, size: int) -> None:
    upload = await sent(uploads, os.urandom(size))
    await uploads.abandon(upload)
    await uploads.abandon(upload)
    assert await staged(s3_bucket) == []
    with pytest.raises(BlobNotFoundError):
        await uploads.accept(upload, key="film")


async def test_a_blob_of_that_key_is_no_upload(uploads: S3DirectUploads, blobs: S3Blobs) -> None:
    await blobs.put("a", pieces(b"another"))
    upload, _ = await begun(uploads, PHOTO)
    with pytest.raises(BlobNotFoundError):
        await uploads.accept(upload, key="a")
    assert await content_of(blobs, "a") == b"another"


@pytest.fixture
def public_bucket(versitygw: Versitygw) -> Iterator[S3Bucket]:
    """Give a bucket that clients reach by another name."""
    public = f"http://localhost:{versitygw.port}"
    with closing(S3Bucket(versitygw.settings().model_copy(update={"s3_public_endpoint": public}))) as bucket:
        yield bucket


async def test_clients_may_know_the_store_by_another_name(public_bucket: S3Bucket, versitygw: Versitygw) -> None:
    uploads = S3DirectUploads(public_bucket)
    upload, (piece,) = await begun(uploads, PHOTO)
    request = uploads.sign(upload, piece, valid_for=SHORTLY)
    assert urlsplit(request.url).netloc == f"localhost:{versitygw.port}"
    assert send(request, PHOTO) == 200
    await uploads.accept(upload, key="a")
