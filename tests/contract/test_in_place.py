"""Originals that stay in buckets of their owner: read as they were, noticed when they are not, and never written."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from support.blobs import content_of, keys_of, pieces, sha256
from support.engines.versitygw import Versitygw
from support.outside import MemoryBucket
from support.tcp_faults import Cut, TcpFaults

from gallery.adapters.in_place_blobs import LEFT_ALONE, InPlaceBlobs
from gallery.adapters.in_place_rules import AllowedPlaces, PlacesError
from gallery.adapters.in_place_settings import InPlaceSettings
from gallery.adapters.memory_blobs import MemoryBlobs
from gallery.adapters.profile import Profile
from gallery.adapters.s3_bucket import S3AwayError, S3Bucket
from gallery.ports.blobs import BlobChangedError, BlobNotFoundError
from gallery.ports.elsewhere import (
    REFERENCE,
    PlaceAwayError,
    PlaceRefusedError,
    PlaceUnreadableError,
    ReferenceDamagedError,
)
from gallery.runtime.retry import RetryPolicy

LIBRARY = UUID(int=1)
KEY = f"originals/{LIBRARY}/one{REFERENCE}"
CONTENT = os.urandom(700_000)


class Owner:
    """Somebody who has a bucket, and does in it what they like."""

    def __init__(self, name: str, settings: InPlaceSettings) -> None:
        self.name = name
        self._bucket = S3Bucket(settings.of_bucket(name))
        self.close = self._bucket.close

    async def put(self, key: str, content: bytes) -> str:
        await self._bucket.ask("put_object", Key=key, Body=content)
        return f"s3://{self.name}/{key}"

    async def remove(self, key: str) -> None:
        await self._bucket.remove(key)

    async def content(self, key: str) -> bytes:
        return bytes((await self._bucket.ask("get_object", Key=key))["Body"].read())


@pytest.fixture
def places(versitygw: Versitygw) -> InPlaceSettings:
    bucket = versitygw.settings().s3_bucket
    return InPlaceSettings(
        in_place=f"s3://{bucket}",
        in_place_endpoint=versitygw.url,
        in_place_key_id=versitygw.key_id,
        in_place_secret=SecretStr(versitygw.secret),
    )


@pytest.fixture
def owner(places: InPlaceSettings) -> Iterator[Owner]:
    with closing(Owner(places.in_place.removeprefix("s3://"), places)) as opened:
        yield opened


Opened = Callable[..., InPlaceBlobs]


def opened(places: InPlaceSettings) -> InPlaceBlobs:
    return InPlaceBlobs(
        MemoryBlobs(), allowed=AllowedPlaces(places.in_place), open_bucket=lambda name: S3Bucket(places.of_bucket(name))
    )


@pytest.fixture
def blobs(places: InPlaceSettings) -> Iterator[InPlaceBlobs]:
    with closing(opened(places)) as store:
        yield store


async def refer(blobs: InPlaceBlobs, place: str, *, content: bytes = CONTENT) -> None:
    await blobs.refer(KEY, await blobs.look(LIBRARY, place), sha256=sha256(content))


@pytest.mark.engine
async def test_a_reference_reads_like_the_object_itself(blobs: InPlaceBlobs, owner: Owner) -> None:
    await refer(blobs, await owner.put("Anna's wedding/größe 1.jpg", CONTENT))
    assert await content_of(blobs, KEY) == CONTENT
    for start, length in ((0, 1), (262_143, 262_146), (699_999, 10), (700_000, 5), (5, None), (9, 0)):
        end = None if length is None else start + length
        assert await content_of(blobs, KEY, start=start, length=length) == CONTENT[start:end]
    stored = await blobs.stat(KEY)
    assert (stored.size, stored.sha256) == (len(CONTENT), sha256(CONTENT))
    assert await keys_of(blobs) == [KEY]
    assert await blobs.stands(KEY)


@pytest.mark.engine
@pytest.mark.parametrize("size", [len(CONTENT), 10, 900_000])
async def test_what_was_replaced_is_noticed_at_the_first_byte(blobs: InPlaceBlobs, owner: Owner, size: int) -> None:
    await refer(blobs, await owner.put("a.jpg", CONTENT))
    await owner.put("a.jpg", os.urandom(size))
    for start in (0, 600_000):
        with pytest.raises(BlobChangedError):
            await content_of(blobs, KEY, start=start)
    assert not await blobs.stands(KEY)


@pytest.mark.engine
async def test_what_vanished_is_noticed_and_may_come_back(blobs: InPlaceBlobs, owner: Owner) -> None:
    await refer(blobs, await owner.put("a.jpg", CONTENT))
    await owner.remove("a.jpg")
    with pytest.raises(BlobNotFoundError):
        await content_of(blobs, KEY)
    assert not await blobs.stands(KEY)
    await owner.put("a.jpg", CONTENT)
    assert await content_of(blobs, KEY) == CONTENT


@pytest.mark.engine
async def test_what_was_moved_is_pointed_to_anew(blobs: InPlaceBlobs, owner: Owner) -> None:
    await refer(blobs, await owner.put("a.jpg", CONTENT))
    await owner.remove("a.jpg")
    await refer(blobs, await owner.put("moved/b.jpg", CONTENT))
    assert await content_of(blobs, KEY) == CONTENT
    assert await keys_of(blobs) == [KEY]


@pytest.mark.engine
async def test_deleting_a_blob_leaves_the_object_where_it_is(blobs: InPlaceBlobs, owner: Owner) -> None:
    await refer(blobs, await owner.put("a.jpg", CONTENT))
    await blobs.delete(KEY)
    with pytest.raises(BlobNotFoundError):
        await content_of(blobs, KEY)
    assert await keys_of(blobs) == []
    assert await owner.content("a.jpg") == CONTENT


@pytest.mark.engine
async def test_a_link_that_breaks_loses_nothing(places: InPlaceSettings, owner: Owner, versitygw: Versitygw) -> None:
    place = await owner.put("a.jpg", CONTENT * 3)
    with TcpFaults(versitygw.port) as link:
        link.down.cut_after(200_000, again=iter([300_000] * 50))
        link.down.cut = Cut.HALF_CLOSE
        behind = places.model_copy(update={"in_place_endpoint": f"http://127.0.0.1:{link.port}"})
        with closing(opened(behind)) as blobs:
            await refer(blobs, place, content=CONTENT * 3)
            assert await content_of(blobs, KEY) == CONTENT * 3


@pytest.mark.engine
async def test_a_bucket_that_says_no_is_quoted(places: InPlaceSettings, owner: Owner) -> None:
    place = await owner.put("a.jpg", CONTENT)
    stranger = places.model_copy(update={"in_place_secret": SecretStr("wrong")})
    with (
        closing(opened(stranger)) as blobs,
        pytest.raises(PlaceUnreadableError, match="does not let this gallery read"),
    ):
        await blobs.look(LIBRARY, place)


def in_memory(setting: str, bucket: MemoryBucket) -> InPlaceBlobs:
    return InPlaceBlobs(MemoryBlobs(), allowed=AllowedPlaces(setting), open_bucket=lambda _: bucket)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("setting", "place", "allowed"),
    [
        ("s3://b", "s3://b/any/key.jpg", True),
        ("s3://b/family", "s3://b/family/key.jpg", True),
        ("s3://b/family/", "s3://b/family/key.jpg", True),
        ("s3://a, s3://b/x", "s3://b/x/key.jpg", True),
        ("s3://b/{library}", f"s3://b/{LIBRARY}/key.jpg", True),
        ("", "s3://b/key.jpg", False),
        ("s3://b/family", "s3://b/family2/key.jpg", False),
        ("s3://b", "s3://bb/key.jpg", False),
        ("s3://b/family", "s3://b/family/../others/key.jpg", False),
        ("s3://b/family", "s3://b/family/./key.jpg", False),
        ("s3://b/{library}", f"s3://b/{UUID(int=2)}/key.jpg", False),
        ("s3://b", "file:///etc/passwd", False),
        ("s3://b", "http://169.254.169.254/latest", False),
    ],
)
async def test_only_what_is_named_may_be_looked_at(setting: str, place: str, *, allowed: bool) -> None:
    key = place.removeprefix("s3://").partition("/")[2]
    bucket = MemoryBucket(**{key: b"content"})
    blobs = in_memory(setting, bucket)
    if allowed:
        assert (await blobs.look(LIBRARY, place)).size == 7
    else:
        with pytest.raises((PlaceRefusedError, PlaceUnreadableError)):
            await blobs.look(LIBRARY, place)
        assert bucket.asked == []


@given(st.lists(st.sampled_from(["s3://", "b", "ours", "family", "/", ".", "..", "%2e", "\\", "\0", "ß"])).map("".join))
def test_whatever_is_asked_for_nothing_else_is_looked_at(place: str) -> None:
    bucket, opened = MemoryBucket(), set()

    def open_bucket(name: str) -> Any:
        opened.add(name)
        return bucket

    blobs = InPlaceBlobs(MemoryBlobs(), allowed=AllowedPlaces("s3://b/family"), open_bucket=open_bucket)
    for text in (place, f"s3://b/{place}", f"s3://b/family{place}", f"s3://b/family/{place}"):
        with pytest.raises((PlaceRefusedError, PlaceUnreadableError, BlobNotFoundError)):
            asyncio.run(blobs.look(LIBRARY, text))
    assert opened <= {"b"}
    for key in bucket.keys:
        assert key.startswith("family/")
        assert not {".", ".."} & set(key.split("/"))


@pytest.mark.parametrize("setting", ["bucket/prefix", "s3://", "s3:///x", "http://b/x", "s3://b, x"])
def test_a_setting_that_names_no_place_is_refused(setting: str) -> None:
    with pytest.raises(PlacesError, match="is no place"):
        AllowedPlaces(setting)


async def test_the_gallery_s_own_bucket_is_nobody_s_place(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATA": tmp_path,
        "BLOBS": "s3",
        "S3_BUCKET": "ours",
        "IN_PLACE": "s3://a, s3://ours/x",
    }.items():
        monkeypatch.setenv(f"GALLERY_{name}", str(value))
    with pytest.raises(PlacesError, match="own bucket"):
        async with Profile.read().blobs():
            pass


async def test_what_goes_wrong_is_said_without_the_owner_s_names() -> None:
    bucket = MemoryBucket(secret=b"content")
    blobs = in_memory("s3://b", bucket)
    await refer(blobs, "s3://b/secret", content=b"content")
    bucket.objects["secret"] = b"another"
    with pytest.raises(BlobChangedError) as changed:
        await content_of(blobs, KEY)
    bucket.objects.clear()
    with pytest.raises(BlobNotFoundError) as gone:
        await content_of(blobs, KEY)
    for raised in (changed, gone):
        assert "secret" not in str(raised.value)
        assert raised.value.__suppress_context__


async def test_a_bucket_that_is_away_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("gallery.adapters.s3_reading._PAUSES", RetryPolicy(first_pause=timedelta(0)))
    monkeypatch.setattr("gallery.adapters.in_place_blobs.time", SimpleNamespace(monotonic=lambda: now))
    bucket = MemoryBucket(a=b"content")
    blobs = in_memory("s3://b", bucket)
    await refer(blobs, "s3://b/a", content=b"content")
    bucket.fault = S3AwayError("b/a does not answer")
    bucket.asked.clear()
    for _ in range(3):
        with pytest.raises(PlaceAwayError, match="does not answer") as away:
            await content_of(blobs, KEY)
        assert "b/a" not in str(away.value)
    assert bucket.asked == ["get_object"] * 5, "of one reading; nobody else's turn is spent on waiting for it"
    bucket.fault = None
    now += LEFT_ALONE.total_seconds()
    assert await content_of(blobs, KEY) == b"content"


async def test_a_reference_that_is_none_any_more_is_told_from_a_bucket_that_fails() -> None:
    blobs = in_memory("s3://b", MemoryBucket(a=b"content"))
    for damage in (b"", b"{}", b"[]", b'{"place": "s3://b/a", "size": 7, "version": "x", "sha256": "no hex"}'):
        await blobs.put(KEY, pieces(damage))
        with pytest.raises(ReferenceDamagedError):
            await content_of(blobs, KEY)
        assert not await blobs.stands(KEY)


async def test_a_bucket_is_opened_once_and_let_go_of_at_the_end() -> None:
    bucket = MemoryBucket(a=b"content")
    with closing(in_memory("s3://b", bucket)) as blobs:
        await refer(blobs, "s3://b/a", content=b"content")
        assert await content_of(blobs, KEY) == b"content"
        assert bucket.closed == 0
    assert bucket.closed == 1
    assert set(bucket.asked) == {"head_object", "get_object"}
