"""What every blob store does, and what only the local one can be asked."""

import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.blobs import content_of, keys_of, pieces, sha256
from support.disks import small_disk

from gallery.adapters.in_place_blobs import InPlaceBlobs
from gallery.adapters.in_place_rules import AllowedPlaces
from gallery.adapters.local_blobs import LocalBlobs
from gallery.adapters.memory_blobs import MemoryBlobs
from gallery.adapters.s3_blobs import S3Blobs
from gallery.adapters.threads import Result, in_thread
from gallery.ports.blobs import BlobError, BlobMismatchError, BlobNotFoundError, Blobs, BlobStoreFullError


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def never(name: str) -> NoReturn:
    raise AssertionError(f"nothing lies in {name}")


@pytest.fixture(
    params=[
        "memory",
        "local",
        "beside_others",
        pytest.param("s3", marks=pytest.mark.engine),
        pytest.param("flaky_s3", marks=pytest.mark.engine),
    ]
)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    match request.param:
        case "memory":
            return MemoryBlobs()
        case "local":
            return LocalBlobs(tmp_path / "blobs")
        case "beside_others":
            return InPlaceBlobs(MemoryBlobs(), allowed=AllowedPlaces(""), open_bucket=never)
        case name:
            return S3Blobs(request.getfixturevalue(f"{name}_bucket"))


async def test_what_was_put_can_be_read(blobs: Blobs) -> None:
    content = os.urandom(3_000_000)
    stored = await blobs.put("library/a", pieces(content))
    assert (stored.key, stored.size, stored.sha256) == ("library/a", len(content), sha256(content))
    assert await content_of(blobs, "library/a") == content
    assert await blobs.stat("library/a") == stored


async def test_there_is_room_or_nobody_knows(blobs: Blobs) -> None:
    assert await blobs.room() != 0


async def test_an_empty_object_is_an_object(blobs: Blobs) -> None:
    await blobs.put("a", pieces(b""))
    assert await content_of(blobs, "a") == b""
    assert (await blobs.stat("a")).sha256 == sha256(b"")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=3000), piece=st.integers(1, 700), start=st.integers(0, 4000), length=st.integers(0, 4000)
)
def test_any_part_of_anything(blobs: Blobs, content: bytes, piece: int, start: int, length: int) -> None:
    async def story() -> None:
        await blobs.put("x/y", pieces(content, piece))
        assert await content_of(blobs, "x/y", start=start, length=length) == content[start : start + length]
        assert await content_of(blobs, "x/y", start=start) == content[start:]
        assert (await blobs.stat("x/y")).sha256 == sha256(content)

    asyncio.run(story())


async def test_ranges_across_pieces(blobs: Blobs) -> None:
    content = os.urandom(1_000_000)
    await blobs.put("a", pieces(content))
    assert await content_of(blobs, "a", start=262_143, length=262_146) == content[262_143 : 262_143 + 262_146]


async def test_the_announced_digest_is_checked(blobs: Blobs) -> None:
    await blobs.put("good", pieces(b"abc"), sha256=sha256(b"abc"))
    with pytest.raises(BlobMismatchError):
        await blobs.put("bad", pieces(b"abc"), sha256=sha256(b"abd"))
    assert await keys_of(blobs) == ["good"]


async def test_what_is_not_there(blobs: Blobs) -> None:
    await blobs.put("library/a", pieces(b"abc"))
    for key in ("none", "library", "library/a/b"):
        with pytest.raises(BlobNotFoundError):
            await content_of(blobs, key)
        with pytest.raises(BlobNotFoundError):
            await blobs.stat(key)
        await blobs.delete(key)
    assert await content_of(blobs, "library/a") == b"abc"


async def test_deleted_is_gone(blobs: Blobs) -> None:
    await blobs.put("a/b", pieces(b"abc"))
    await blobs.delete("a/b")
    with pytest.raises(BlobNotFoundError):
        await blobs.stat("a/b")
    assert await keys_of(blobs) == []


async def test_keys_by_prefix(blobs: Blobs) -> None:
    for key in ("one/a.jpg", "one/ab", "one/deep/er", "two/a"):
        await blobs.put(key, pieces(b"x"))
    listed = {
        prefix: {key async for key in blobs.keys(prefix)} for prefix in ("", "one/", "one/a", "three", "../", "/")
    }
    assert listed == {
        "": {"one/a.jpg", "one/ab", "one/deep/er", "two/a"},
        "one/": {"one/a.jpg", "one/ab", "one/deep/er"},
        "one/a": {"one/a.jpg", "one/ab"},
        "three": set(),
        "../": set(),
        "/": set(),
    }


async def test_a_second_put_replaces(blobs: Blobs) -> None:
    await blobs.put("a", pieces(b"one"))
    await blobs.put("a", pieces(b"two two"))
    assert await content_of(blobs, "a") == b"two two"
    assert (await blobs.stat("a")).sha256 == sha256(b"two two")


async def test_sweeping_leaves_what_is_whole(blobs: Blobs) -> None:
    await blobs.put("a", pieces(b"photo"))
    await blobs.sweep(older_than=timedelta(0))
    assert await content_of(blobs, "a") == b"photo"


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", ".", "é", "a b", "a\\b", "a\n", "x=sha256", "a" * 201]
)
async def test_other_names_are_refused(blobs: Blobs, key: str) -> None:
    for attempt in (blobs.put(key, pieces(b"x")), blobs.stat(key), blobs.delete(key), content_of(blobs, key)):
        with pytest.raises(ValueError, match="not a blob key"):
            await attempt


async def test_a_source_that_fails_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        await blobs.put("a", broken())
    assert await keys_of(blobs) == []
    assert files(tmp_path) == []


async def test_many_puts_of_one_key_at_once_leave_one_whole_object(blobs: Blobs) -> None:
    for _ in range(15):
        contents = [bytes([number]) * 3000 for number in range(12)]
        await asyncio.gather(*(blobs.put("a", pieces(content)) for content in contents))
        found = await content_of(blobs, "a")
        assert found in contents
        assert (await blobs.stat("a")).sha256 == sha256(found)


# The local folder


async def test_a_cancelled_put_leaves_nothing(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    reached = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000
            reached.set()

    putting = asyncio.create_task(blobs.put("a", endless()))
    await reached.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert files(tmp_path) == []


async def test_another_process_sees_plain_files_and_their_digests(tmp_path: Path) -> None:
    await LocalBlobs(tmp_path).put("library/a.jpg", pieces(b"photo"))
    assert (tmp_path / "objects/library/a.jpg").read_bytes() == b"photo"
    assert (await LocalBlobs(tmp_path).stat("library/a.jpg")).sha256 == sha256(b"photo")


async def test_the_digest_is_the_recorded_one_so_that_damage_shows(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    await blobs.put("a", pieces(b"photo"))
    (tmp_path / "objects/a").write_bytes(b"phot0")
    assert (await blobs.stat("a")).sha256 == sha256(b"photo")
    (tmp_path / "objects/a=sha256").unlink()
    with pytest.raises(BlobError, match="damaged or gone"):
        await blobs.stat("a")


@pytest.mark.parametrize("survivor", [b"one", b"two"])
async def test_a_crash_while_replacing_leaves_either_object_with_its_digest(tmp_path: Path, survivor: bytes) -> None:
    blobs = LocalBlobs(tmp_path)
    await blobs.put("a", pieces(survivor))
    both = f"{sha256(b'one').hex()}\n{sha256(b'two').hex()}\n"
    (tmp_path / "objects/a=sha256").write_text(both)
    assert (await blobs.stat("a")).sha256 == sha256(survivor)


WRITER = """
import asyncio, sys
from pathlib import Path
from gallery.adapters.local_blobs import LocalBlobs

async def endless():
    yield b"x" * 2_000_000
    print("begun", flush=True)
    await asyncio.sleep(3600)

asyncio.run(LocalBlobs(Path(sys.argv[1])).put("a", endless()))
"""


def test_leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"begun\n"
        LocalBlobs(tmp_path)
        assert len(files(tmp_path)) == 1
        writer.send_signal(signal.SIGKILL)
    LocalBlobs(tmp_path)
    assert files(tmp_path) == []


async def test_what_is_to_stay_free_is_left_to_others(tmp_path: Path) -> None:
    with small_disk(tmp_path, size="1m"):
        blobs = LocalBlobs(tmp_path, keep_free=500_000)
        assert 0 < (await blobs.room() or 0) < 550_000
        await blobs.put("first", pieces(b"x" * 400_000))
        await blobs.put("larger-than-the-room", pieces(b"x" * 200_000))
        assert await blobs.room() == 0
        with pytest.raises(BlobStoreFullError):
            await blobs.put("small", pieces(b"x"))
        await blobs.delete("first")
        await blobs.put("small", pieces(b"x"))


async def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path, size="1m"):
        blobs = LocalBlobs(tmp_path)
        await blobs.put("small", pieces(b"x" * 1000))
        with pytest.raises(BlobStoreFullError):
            await blobs.put("large", pieces(b"x" * 2_000_000))
        assert await keys_of(blobs) == ["small"]
        assert files(tmp_path / "incoming") == []
        await blobs.put("another", pieces(b"x" * 500_000))


async def test_no_room_by_quota_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(BlobStoreFullError):
            await blobs.put("large", pieces(b"x" * 2_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(tmp_path) == []


async def test_steps_of_a_put_reach_the_disk_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(fd: int) -> None:
        steps.append("fsync " + re.sub(r"[0-9a-f]{32}", "new", Path(f"/proc/self/fd/{fd}").resolve().name))
        fsync(fd)

    def noted_rename(self: Path, target: Path) -> Path:
        steps.append(f"rename {target.name}")
        return rename(self, target)

    blobs = LocalBlobs(tmp_path)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    await blobs.put("library/a", pieces(b"x"))
    assert steps == [  # folder made durable, content and digest before either has its name, then the names
        "fsync new",
        "fsync objects",
        "fsync new",
        "rename a=sha256",
        "rename a",
        "fsync library",
    ]


async def test_small_pieces_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hops = []

    async def counted(work: Callable[[], Result]) -> Result:
        hops.append(work)
        return await in_thread(work)

    monkeypatch.setattr("gallery.adapters.local_blobs.in_thread", counted)
    await LocalBlobs(tmp_path).put("a", pieces(os.urandom(3_000_000), 4096))
    assert len(hops) <= 6, "each takes as long as hashing 100 KB"
