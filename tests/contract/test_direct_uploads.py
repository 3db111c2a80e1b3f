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
from gallery.ports.direct_uploads import DirectUpload, PiecesMissingError, SignedRequest

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
    monkeypatch.setattr(s3_direct_uploads, "_PART", PART)


async def begun(uploads: S3DirectUploads, content: bytes) -> DirectUpload:
    return await uploads.begin(size=len(content), sha256=sha256(content))


def cut(upload: DirectUpload, content: bytes) -> dict[int, bytes]:
    """Return the pieces by number."""
    starts = {number: (number - 1) * upload.piece_size for number in range(1, upload.pieces + 1)}
    return {number: content[at : at + upload.size_of(number)] for number, at in starts.items()}


def signed(uploads: S3DirectUploads, upload: DirectUpload, number: int, content: bytes) -> SignedRequest:
    return uploads.sign(upload, number, sha256=sha256(content), valid_for=SHORTLY)


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
    upload = await begun(uploads, PHOTO)
    assert await uploads.sent(upload) == []
    assert send(signed(uploads, upload, 1, PHOTO), PHOTO) == 200
    assert list(await uploads.sent(upload)) == [1]
    assert await keys_of(blobs) == []
    stored = await uploads.accept(upload, key="library/a")
    assert stored == StoredBlob(key="library/a", size=len(PHOTO), sha256=sha256(PHOTO))
    assert await blobs.stat("library/a") == stored
    await uploads.abandon(upload)
    assert await content_of(blobs, "library/a") == PHOTO
    assert await staged(s3_bucket) == []


async def test_everything_that_matters_is_signed(uploads: S3DirectUploads) -> None:
    upload = await begun(uploads, PHOTO)
    request = uploads.sign(upload, 1, sha256=sha256(PHOTO), valid_for=timedelta(seconds=90))
    query = parse_qs(urlsplit(request.url).query)
    assert query["X-Amz-Expires"] == ["90"]
    assert set(query["X-Amz-SignedHeaders"][0].split(";")) == {"host", *map(str.lower, request.headers)}
    assert request.headers == {
        "Content-Length": "7",
        "x-amz-checksum-sha256": base64.b64encode(sha256(PHOTO)).decode(),
        "If-None-Match": "*",
    }


async def test_other_bytes_than_announced_are_not_taken(s3_bucket: S3Bucket, uploads: S3DirectUploads) -> None:
    upload = await begun(uploads, PHOTO)
    request = signed(uploads, upload, 1, PHOTO)
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
    with pytest.raises(PiecesMissingError) as missing:
        await uploads.accept(upload, key="a")
    assert missing.value.numbers == (1,)


async def test_a_request_works_once(uploads: S3DirectUploads, blobs: S3Blobs) -> None:
    upload = await begun(uploads, PHOTO)
    request = signed(uploads, upload, 1, PHOTO)
    assert [send(request, PHOTO), send(request, PHOTO)] == [200, 412]
    await uploads.accept(upload, key="a")
    await uploads.abandon(upload)
    await blobs.delete("a")
    send(request, PHOTO)
    assert await keys_of(blobs) == []  # whatever it did, it brought no blob back
    await blobs.sweep(older_than=timedelta(0))


async def test_one_piece_is_the_whole(uploads: S3DirectUploads) -> None:
    upload = await begun(uploads, PHOTO)
    with pytest.raises(ValueError, match="no piece 2"):
        signed(uploads, upload, 2, PHOTO)
    with pytest.raises(ValueError, match="one piece"):
        signed(uploads, upload, 1, b"another")
    with pytest.raises(ValueError, match="nothing"):
        await uploads.begin(size=0, sha256=sha256(b""))


# Parts


@pytest.mark.usefixtures("in_parts")
async def test_a_film_goes_in_parts_in_any_order(s3_bucket: S3Bucket, uploads: S3DirectUploads, blobs: S3Blobs) -> None:
    content = os.urandom(2 * PART + 1000)
    upload = await begun(uploads, content)
    pieces = cut(upload, content)
    assert [len(piece) for piece in pieces.values()] == [PART, PART, 1000]
    for number in (3, 1):
        assert send(signed(uploads, upload, number, pieces[number]), pieces[number]) == 200
    assert await uploads.sent(upload) == [1, 3]
    assert send(signed(uploads, upload, 2, pieces[2]), pieces[2]) == 200
    assert await keys_of(blobs) == []
    stored = await uploads.accept(upload, key="film")
    assert list(await uploads.sent(upload)) == [1, 2, 3]
    await uploads.abandon(upload)
    assert await blobs.stat("film") == stored == StoredBlob(key="film", size=len(content), sha256=sha256(content))
    assert await content_of(blobs, "film") == content
    assert await staged(s3_bucket) == []


@pytest.mark.usefixtures("in_parts")
async def test_a_harmed_part_is_not_taken_and_may_be_sent_anew(uploads: S3DirectUploads, blobs: S3Blobs) -> None:
    content = os.urandom(PART + 1000)
    upload = await begun(uploads, content)
    first, last = cut(upload, content).values()
    request = signed(uploads, upload, 1, first)
    assert send(request, bytes(PART)) == 400
    assert send(request, first[:-1], Content_Length=str(PART - 1)) == 403
    send_cut_off(request, first)
    assert send(signed(uploads, upload, 2, last), last) == 200
    with pytest.raises(PiecesMissingError) as missing:
        await uploads.accept(upload, key="film")
    assert missing.value.numbers == (1,)
    assert send(request, first) == 200
    assert send(request, first) == 200
    await uploads.accept(upload, key="film")
    assert await content_of(blobs, "film") == content
    assert send(request, first) == 404


@pytest.mark.usefixtures("in_parts")
async def test_parts_that_are_not_the_whole_that_was_announced(
    s3_bucket: S3Bucket, uploads: S3DirectUploads, blobs: S3Blobs
) -> None:
    content = os.urandom(PART + 1000)
    upload = await uploads.begin(size=len(content), sha256=sha256(b"another"))
    for number, piece in cut(upload, content).items():
        assert send(signed(uploads, upload, number, piece), piece) == 200
    with pytest.raises(BlobMismatchError):
        await uploads.accept(upload, key="film")
    assert await keys_of(blobs) == []
    assert await staged(s3_bucket) == []


@pytest.mark.parametrize("size", [100_000_001, 160_000 << 20, (160_000 << 20) + 1])
async def test_no_store_takes_more_than_ten_thousand_parts(uploads: S3DirectUploads, size: int) -> None:
    upload = await uploads.begin(size=size, sha256=sha256(b"whatever"))
    assert upload.pieces <= 10_000
    assert upload.piece_size >= 16 << 20
    assert sum(upload.size_of(number) for number in range(1, upload.pieces + 1)) == size
    await uploads.abandon(upload)


# Ends


async def sent(uploads: S3DirectUploads, content: bytes) -> DirectUpload:
    upload = await begun(uploads, content)
    for number, piece in cut(upload, content).items():
        assert send(signed(uploads, upload, number, piece), piece) == 200
    return upload


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("size", [1000, PART + 1000])
@pytest.mark.parametrize("lost", ["complete_multipart_upload", "upload_part_copy", "head_object"])
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
    await uploads.abandon(upload)
    assert await uploads.accept(upload, key="film") == stored
    assert await content_of(blobs, "film") == content
    assert await staged(s3_bucket) == []


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize(("size", "error"), [(1000, PiecesMissingError), (PART + 1000, BlobNotFoundError)])
async def test_what_is_abandoned_is_gone(
    s3_bucket: S3Bucket, uploads: S3DirectUploads, size: int, error: type[Exception]
) -> None:
    upload = await sent(uploads, os.urandom(size))
    await uploads.abandon(upload)
    await uploads.abandon(upload)
    assert await staged(s3_bucket) == []
    with pytest.raises(error):
        await uploads.accept(upload, key="film")


@pytest.mark.usefixtures("in_parts")
async def test_the_store_lost_an_upload(uploads: S3DirectUploads, blobs: S3Blobs) -> None:
    upload = await begun(uploads, bytes(PART + 1000))
    await blobs.sweep(older_than=timedelta(0))
    with pytest.raises(BlobNotFoundError):
        await uploads.sent(upload)


async def test_a_blob_of_that_key_is_no_upload(uploads: S3DirectUploads, blobs: S3Blobs) -> None:
    await blobs.put("a", pieces(b"another"))
    upload = await begun(uploads, PHOTO)
    with pytest.raises(PiecesMissingError):
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
    upload = await begun(uploads, PHOTO)
    request = signed(uploads, upload, 1, PHOTO)
    assert urlsplit(request.url).netloc == f"localhost:{versitygw.port}"
    assert send(request, PHOTO) == 200
    await uploads.accept(upload, key="a")
