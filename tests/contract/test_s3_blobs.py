"""What only blobs in a real S3 store can be asked: parts, broken links, versions, and what is left behind."""

import asyncio
import base64
import gc
import itertools
import os
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.blobs import content_of, everything_in, keys_of, pieces, sha256
from support.disks import small_disk
from support.engines.versitygw import Versitygw, running
from support.tcp_faults import Cut, TcpFaults
from support.waiting import expect_soon

from gallery.adapters.profile import Profile
from gallery.adapters.s3_blobs import S3Blobs
from gallery.adapters.s3_bucket import S3AwayError, S3Bucket, S3RefusedError, S3UploadOverError
from gallery.adapters.s3_staging import staging_key
from gallery.ports.blobs import BlobError, BlobMismatchError, BlobNotFoundError, BlobStoreFullError, StoredBlob
from gallery.runtime.retry import is_transient

pytestmark = pytest.mark.engine

LARGE = 21_000_000  # three parts
announced = pytest.mark.parametrize("announced", [True, False], ids=["announced", "unannounced"])


@pytest.fixture
def blobs(s3_bucket: S3Bucket) -> S3Blobs:
    return S3Blobs(s3_bucket)


@pytest.fixture
def link(versitygw: Versitygw) -> Iterator[TcpFaults]:
    with TcpFaults(versitygw.port) as link:
        yield link


@pytest.fixture
def linked_bucket(versitygw: Versitygw, link: TcpFaults) -> Iterator[S3Bucket]:
    with closing(S3Bucket(versitygw.settings(port=link.port))) as bucket:
        yield bucket


# Large objects


@announced
async def test_a_large_object_is_whole_and_alone(s3_bucket: S3Bucket, blobs: S3Blobs, *, announced: bool) -> None:
    content = os.urandom(LARGE)
    stored = await blobs.put("library/film", pieces(content), sha256=sha256(content) if announced else None)
    assert (stored.size, stored.sha256) == (LARGE, sha256(content))
    assert await blobs.stat("library/film") == stored
    assert await content_of(blobs, "library/film") == content
    assert await content_of(blobs, "library/film", start=8_388_000, length=2000) == content[8_388_000:8_390_000]
    assert await everything_in(s3_bucket) == ["library/film"]


@announced
@pytest.mark.parametrize("size", [(8 << 20) - 1, 8 << 20, (8 << 20) + 1, 16 << 20])
async def test_sizes_at_the_border_of_parts(blobs: S3Blobs, size: int, *, announced: bool) -> None:
    content = os.urandom(size)
    await blobs.put("a", pieces(content, 1 << 20), sha256=sha256(content) if announced else None)
    assert (await blobs.stat("a")).sha256 == sha256(content)
    assert sha256(await content_of(blobs, "a")) == sha256(content)


async def test_a_large_object_of_another_digest_is_not_stored(s3_bucket: S3Bucket, blobs: S3Blobs) -> None:
    with pytest.raises(BlobMismatchError):
        await blobs.put("film", pieces(os.urandom(LARGE)), sha256=sha256(b"another"))
    assert await everything_in(s3_bucket) == []


@announced
async def test_a_large_source_that_fails_leaves_nothing(
    s3_bucket: S3Bucket, blobs: S3Blobs, *, announced: bool
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for piece in pieces(bytes(LARGE)):
            yield piece
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        await blobs.put("film", broken(), sha256=sha256(b"whatever") if announced else None)
    assert await everything_in(s3_bucket) == []


@announced
async def test_a_cancelled_put_leaves_nothing(s3_bucket: S3Bucket, blobs: S3Blobs, *, announced: bool) -> None:
    reached = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for number in itertools.count():
            yield bytes(1 << 20)
            if number == 20:
                reached.set()

    putting = asyncio.create_task(blobs.put("film", endless(), sha256=sha256(b"whatever") if announced else None))
    await reached.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await everything_in(s3_bucket) == []


async def test_parts_are_dropped_only_when_none_is_on_its_way(
    linked_bucket: S3Bucket, link: TcpFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    ask = linked_bucket.ask_blocking

    def noted(operation: str, **arguments: Any) -> dict[str, Any]:
        steps.append(f"{operation} begins")
        try:
            return ask(operation, **arguments)
        finally:
            steps.append(f"{operation} ends")

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(9_000_000)
        yield bytes(9_000_000)
        raise ConnectionResetError("the client went away")

    monkeypatch.setattr(linked_bucket, "ask_blocking", noted)
    link.down.latency = timedelta(milliseconds=100)
    with pytest.raises(ConnectionResetError):
        await S3Blobs(linked_bucket).put("film", broken(), sha256=sha256(b"whatever"))
    assert steps[-3:] == ["upload_part ends", "abort_multipart_upload begins", "abort_multipart_upload ends"]


async def test_the_store_has_checked_what_it_keeps(s3_bucket: S3Bucket, blobs: S3Blobs) -> None:
    content = os.urandom(LARGE)
    await blobs.put("photo", pieces(b"photo"))
    await blobs.put("film", pieces(content), sha256=sha256(content))
    photo, film = [await s3_bucket.ask("head_object", Key=key, ChecksumMode="ENABLED") for key in ("photo", "film")]
    assert base64.b64decode(photo["ChecksumSHA256"]) == sha256(b"photo")
    assert film["ChecksumSHA256"].endswith("-3")  # of its parts' checksums


async def test_large_puts_of_one_key_at_once_leave_one_whole_object(s3_bucket: S3Bucket, blobs: S3Blobs) -> None:
    contents = [bytes([number]) * 9_000_000 for number in range(4)]
    outcomes = await asyncio.gather(
        *(
            blobs.put("film", pieces(content), sha256=sha256(content) if number % 2 else None)
            for number, content in enumerate(contents)
        ),
        return_exceptions=True,
    )
    found = await content_of(blobs, "film")
    assert found in contents
    assert await blobs.stat("film") == outcomes[found[0]]
    assert all(isinstance(outcome, StoredBlob | S3AwayError) for outcome in outcomes)
    assert await everything_in(s3_bucket) == ["film"]


async def test_memory_is_that_of_a_few_parts(blobs: S3Blobs) -> None:
    piece = os.urandom(1 << 20)

    async def long() -> AsyncIterator[bytes]:
        for number in range(100):
            yield number.to_bytes() + piece  # no piece is another one

    tracemalloc.start()
    try:
        await blobs.put("film", long())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * (8 << 20)  # those that botocore has not let go of yet included
    print(f"peak of a put of 100 MiB: {peak / 2**20:.0f} MiB")  # noqa: T201 - a figure to read


async def test_what_is_staged_is_no_blob(s3_bucket: S3Bucket, blobs: S3Blobs) -> None:
    await s3_bucket.ask("put_object", Key=staging_key(), Body=b"x")
    assert await keys_of(blobs) == []
    assert await keys_of(blobs, "!") == []


async def test_listing_goes_over_pages(s3_bucket: S3Bucket, blobs: S3Blobs, versitygw: Versitygw) -> None:
    folder = versitygw.data / s3_bucket.name / "many"
    folder.mkdir()
    for number in range(1234):
        (folder / f"{number}").touch()
    assert sorted(await keys_of(blobs, "many/")) == sorted(f"many/{number}" for number in range(1234))


# Broken links


@announced
async def test_a_large_object_over_a_link_that_breaks(flaky_s3_bucket: S3Bucket, *, announced: bool) -> None:
    blobs = S3Blobs(flaky_s3_bucket)
    content = os.urandom(LARGE)
    await blobs.put("film", pieces(content), sha256=sha256(content) if announced else None)
    assert await content_of(blobs, "film") == content
    await blobs.sweep(older_than=timedelta(0))  # begun, and its id lost
    assert await everything_in(flaky_s3_bucket) == ["film"]


@pytest.mark.parametrize("cut", [Cut.RESET, Cut.HALF_CLOSE])
async def test_a_lost_answer_is_asked_for_again(linked_bucket: S3Bucket, link: TcpFaults, cut: Cut) -> None:
    blobs = S3Blobs(linked_bucket)
    link.down.cut = cut
    for size in (1000, LARGE):
        content = os.urandom(size)
        link.down.cut_after(0)
        await blobs.put("a", pieces(content), sha256=sha256(content))
        link.down.cut_after(0)
        assert (await blobs.stat("a")).sha256 == sha256(content)
        link.down.cut_after(0)
        assert await keys_of(blobs) == ["a"]
        link.down.cut_after(size // 2)
        assert await content_of(blobs, "a") == content
    link.down.cut_after(0)
    await blobs.delete("a")
    await blobs.sweep(older_than=timedelta(0))  # begun, and its id lost
    assert await everything_in(linked_bucket) == []


@pytest.mark.parametrize("cut", [Cut.RESET, Cut.HALF_CLOSE])
async def test_a_cut_request_is_sent_again_and_never_stored_in_part(
    linked_bucket: S3Bucket, link: TcpFaults, cut: Cut
) -> None:
    blobs = S3Blobs(linked_bucket)
    link.up.cut = cut
    for size in (500_000, LARGE):
        content = os.urandom(size)
        link.up.cut_after(size // 2)
        await blobs.put("a", pieces(content), sha256=sha256(content))
        assert await content_of(blobs, "a") == content


async def test_a_range_is_read_on_where_it_broke(linked_bucket: S3Bucket, link: TcpFaults) -> None:
    blobs = S3Blobs(linked_bucket)
    content = os.urandom(3_000_000)
    await blobs.put("a", pieces(content))
    link.down.cut = Cut.HALF_CLOSE
    link.down.cut_after(again=itertools.repeat(600_000))
    assert await content_of(blobs, "a", start=17, length=2_500_000) == content[17:2_500_017]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # botocore drops what it cannot parse
@pytest.mark.filterwarnings("ignore:tzname")  # of a date cut short
async def test_an_answer_cut_anywhere_in_its_headers_changes_nothing(linked_bucket: S3Bucket, link: TcpFaults) -> None:
    blobs = S3Blobs(linked_bucket)
    content = os.urandom(300_000)
    await blobs.put("a", pieces(content))
    link.down.cut = Cut.HALF_CLOSE
    for at in range(0, 800, 29):
        link.down.cut_after(at)
        assert await content_of(blobs, "a") == content
    gc.collect()  # while its warnings are ignored


async def test_an_object_replaced_while_it_is_read_is_not_mixed(linked_bucket: S3Bucket, link: TcpFaults) -> None:
    blobs = S3Blobs(linked_bucket)
    await blobs.put("a", pieces(b"1" * 5_000_000))
    link.down.cut = Cut.HALF_CLOSE
    link.down.cut_after(1_000_000)
    reading = blobs.read("a")
    assert set(await anext(reading)) == set(b"1")
    await blobs.put("a", pieces(b"2" * 5_000_000))
    with pytest.raises(S3RefusedError, match="PreconditionFailed"):
        assert set(b"".join([piece async for piece in reading])) == set(b"1")


async def test_a_store_that_is_away_is_said_to_be_and_may_come_back(versitygw: Versitygw, link: TcpFaults) -> None:
    with closing(S3Bucket(versitygw.settings(port=link.port))) as bucket:
        blobs = S3Blobs(bucket)
        await blobs.put("a", pieces(b"abc"))
        link.refusing = True
        link.reset()
        for attempt in (blobs.stat("a"), blobs.put("b", pieces(b"x"))):
            with pytest.raises(S3AwayError) as caught:
                await attempt
            assert isinstance(caught.value, BlobError)
            assert is_transient(caught.value)
        link.heal()
        assert await content_of(blobs, "a") == b"abc"
        assert await keys_of(blobs) == ["a"]


async def test_silence_ends(versitygw: Versitygw, link: TcpFaults) -> None:
    with closing(S3Bucket(versitygw.settings(port=link.port), patience=timedelta(seconds=0.2))) as bucket:
        blobs = S3Blobs(bucket)
        content = os.urandom(3_000_000)
        await blobs.put("a", pieces(content))
        link.down.cut = Cut.SILENCE
        link.down.cut_after(1_000_000)
        assert await content_of(blobs, "a") == content
        link.down.silent = True
        with pytest.raises(S3AwayError):
            await blobs.stat("a")


async def test_a_store_that_puts_parts_together_may_be_silent_for_longer(versitygw: Versitygw, link: TcpFaults) -> None:
    with closing(S3Bucket(versitygw.settings(port=link.port), patience=timedelta(seconds=1))) as bucket:
        begun = await bucket.ask("create_multipart_upload", Key="film")
        upload = {"Key": "film", "UploadId": begun["UploadId"]}
        part = await bucket.ask("upload_part", PartNumber=1, Body=b"abc", **upload)
        link.down.latency = timedelta(seconds=1.5)
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        await bucket.ask("complete_multipart_upload", MultipartUpload={"Parts": parts}, **upload)
        link.heal()
        assert await keys_of(S3Blobs(bucket)) == ["film"]


# What stores do differently


async def test_a_completed_upload_that_is_not_known_any_more(
    s3_bucket: S3Bucket, blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = s3_bucket.ask

    async def forgetful(operation: str, **arguments: Any) -> dict[str, Any]:
        answer = await ask(operation, **arguments)
        if operation == "complete_multipart_upload":  # the second attempt, whose first answer got lost
            raise S3UploadOverError("forgotten", code="NoSuchUpload")
        return answer

    monkeypatch.setattr(s3_bucket, "ask", forgetful)
    content = os.urandom(LARGE)
    for known in (sha256(content), None):
        await blobs.put("film", pieces(content), sha256=known)
        assert (await blobs.stat("film")).sha256 == sha256(content)


@pytest.mark.parametrize("refuses", [True, False])
async def test_an_upload_that_is_gone_is_no_success(
    s3_bucket: S3Bucket, blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch, *, refuses: bool
) -> None:
    await blobs.put("film", pieces(b"an earlier one"))
    ask = s3_bucket.ask

    async def forgetful(operation: str, **arguments: Any) -> dict[str, Any]:
        if operation == "complete_multipart_upload":
            if refuses:
                raise S3UploadOverError("forgotten", code="NoSuchUpload")
            return {"ETag": "whatever"}
        return await ask(operation, **arguments)

    monkeypatch.setattr(s3_bucket, "ask", forgetful)
    content = os.urandom(LARGE)
    for known in (sha256(content), None):
        with pytest.raises(S3AwayError, match="put it again"):
            await blobs.put("film", pieces(content), sha256=known)
    assert await content_of(blobs, "film") == b"an earlier one"
    assert await everything_in(s3_bucket) == ["film"]


async def test_deleting_purges_every_version(s3_bucket: S3Bucket, blobs: S3Blobs, versitygw: Versitygw) -> None:
    await s3_bucket.ask("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    mark = os.urandom(32).hex().encode()
    for key in ("a", "ab"):
        for number in range(3):
            await blobs.put(key, pieces(mark + key.encode() + bytes([number])))
    await blobs.delete("a")
    with pytest.raises(BlobNotFoundError):
        await blobs.stat("a")
    kept = [path for path in versitygw.data.parent.rglob("*") if path.is_file() and mark in path.read_bytes()]
    assert len(kept) == 3  # of the other key


async def test_an_object_without_a_digest_is_not_believed(s3_bucket: S3Bucket, blobs: S3Blobs) -> None:
    await s3_bucket.ask("put_object", Key="a", Body=b"from outside")
    with pytest.raises(BlobError, match="damaged or gone"):
        await blobs.stat("a")


async def test_a_bucket_that_is_not_there_is_a_failure(versitygw: Versitygw) -> None:
    settings = versitygw.settings().model_copy(update={"s3_bucket": "another"})
    with closing(S3Bucket(settings)) as bucket:
        blobs = S3Blobs(bucket)
        for attempt in (blobs.put("a", pieces(b"x")), content_of(blobs, "a"), keys_of(blobs)):
            with pytest.raises(S3RefusedError, match="NoSuchBucket"):
                await attempt


# Sweeping


async def test_only_what_is_old_and_unfinished_is_swept(
    s3_bucket: S3Bucket, blobs: S3Blobs, versitygw: Versitygw
) -> None:
    folder = versitygw.data / s3_bucket.name
    long_ago = time.time() - timedelta(days=2).total_seconds()
    await blobs.put("old", pieces(b"a blob"))
    os.utime(folder / "old", (long_ago, long_ago))
    staged = [staging_key(), staging_key()]
    for key in staged:
        await s3_bucket.ask("put_object", Key=key, Body=b"x")
    os.utime(folder / staged[0], (long_ago, long_ago))
    uploads = [(await s3_bucket.ask("create_multipart_upload", Key=key))["UploadId"] for key in ("one", "other")]
    for parts in folder.rglob(uploads[0]):
        os.utime(parts, (long_ago, long_ago))

    assert await blobs.sweep(older_than=timedelta(days=1)) == 2
    assert sorted(await everything_in(s3_bucket)) == [staged[1], "old", "parts of other"]
    assert await blobs.sweep(older_than=timedelta(days=1)) == 0


# Crashes of the store


def content_by(number: int) -> bytes:
    """Return what is put under a number: mostly photos, now and then a film."""
    size = 9_000_000 if number % 4 == 0 else 400_000
    return random.Random(number).randbytes(size)


async def test_what_was_acknowledged_survives_kills_of_the_store(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    numbers = itertools.count()
    stop = False

    async def put_one_after_the_other(blobs: S3Blobs) -> None:
        while not stop:
            number = next(numbers)
            content = content_by(number)
            known = sha256(content) if number % 8 else None
            with suppress(BlobError):
                await blobs.put(f"library/{number}", pieces(content), sha256=known)
                acknowledged.add(number)

    async def at_least(count: int) -> None:
        async def reached() -> bool:
            return len(acknowledged) >= count

        await expect_soon(reached)

    with running(Versitygw(tmp_path)) as engine, closing(S3Bucket(engine.settings())) as bucket:
        blobs = S3Blobs(bucket)
        async with asyncio.TaskGroup() as putting:
            for _ in range(6):
                putting.create_task(put_one_after_the_other(blobs))
            for _ in range(5):
                await at_least(len(acknowledged) + 10)
                engine.kill()
                engine.start()
            await at_least(len(acknowledged) + 10)
            stop = True
        begun = next(numbers)
        present = {int(key.removeprefix("library/")) for key in await keys_of(blobs)}
        assert acknowledged <= present
        for number in present:
            stored = await blobs.stat(f"library/{number}")
            assert stored.sha256 == sha256(await content_of(blobs, stored.key)) == sha256(content_by(number))
        print(f"{begun} begun, {len(acknowledged)} acknowledged, {len(present)} there")  # noqa: T201 - figures
        await blobs.sweep(older_than=timedelta(0))
        assert set(await everything_in(bucket)) == {f"library/{number}" for number in present}


async def test_no_room_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with ExitStack() as block:
        block.enter_context(small_disk(tmp_path, size="30m"))
        engine = block.enter_context(running(Versitygw(tmp_path)))
        bucket = block.enter_context(closing(S3Bucket(engine.settings())))
        blobs = S3Blobs(bucket)
        film = bytes(40_000_000)
        for known in (sha256(film), None):
            with pytest.raises(BlobStoreFullError):
                await blobs.put("film", pieces(film), sha256=known)
        assert await everything_in(bucket) == []
        await blobs.put("small", pieces(b"x" * 1_000_000))
        (tmp_path / "ballast").write_bytes(bytes(26_000_000))
        with pytest.raises(BlobStoreFullError):
            await blobs.put("photo", pieces(b"x" * 5_000_000))
        (tmp_path / "ballast").unlink()
        await blobs.put("photo", pieces(b"x" * 5_000_000))


# The profile


async def test_a_profile_that_chose_s3_stores_there(
    versitygw: Versitygw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = versitygw.settings()
    given = {"GALLERY_DATA": str(tmp_path), "GALLERY_BLOBS": "s3", "GALLERY_S3_SECRET": versitygw.secret}
    for name in ("s3_endpoint", "s3_bucket", "s3_key_id"):
        given[f"GALLERY_{name.upper()}"] = getattr(chosen, name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    async with Profile.read().blobs() as blobs:
        await blobs.put("library/a", pieces(b"photo"))
    assert (versitygw.data / chosen.s3_bucket / "library/a").read_bytes() == b"photo"
    assert list(tmp_path.iterdir()) == []
