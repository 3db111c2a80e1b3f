"""From the fact that a photo was uploaded to the fact that it was analysed, with all that can go wrong between."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from support.analysis_bench import PACKS, PICTURE, Bench, PlainRenderer, chunks, running_bench
from support.looking import FakeLooker, face
from support.measured import Growth
from support.pictures import quarters, render, saved
from support.waiting import expect_soon

from gallery.adapters.memory_blobs import MemoryBlobs
from gallery.events.v1 import analysis_pb2 as pb
from gallery.ml_worker import analysing
from gallery.ml_worker.domain import Original, Packs, Rendering, Seen
from gallery.ml_worker.errors import DecoderDiedError, RejectedError
from gallery.ml_worker.media.renderer import TARGET, TIME_LIMIT, JailedRenderer
from gallery.ml_worker.store import ANALYSE, PEOPLE
from gallery.ml_worker.verification import verify
from gallery.ports.blobs import BlobChangedError, BlobError, BlobNotFoundError, BlobStoreFullError, StoredBlob
from gallery.runtime.jail import Jail
from gallery.runtime.leases import Lane, LeaseLostError
from gallery.runtime.limits import Limits


@pytest_asyncio.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with running_bench(database_url) as bench:
        yield bench


async def test_a_photo_is_rendered_looked_at_and_said(bench: Bench) -> None:
    photo_id = await bench.upload(PICTURE)
    async with bench.working():
        await expect_soon(bench.quiet)
    done = (pb.STAGE_STATE_DONE, "")
    assert await bench.outcomes(photo_id) == {
        "rendered": done,
        "faces": done,
        "tags": done,
        "text": (pb.STAGE_STATE_DONE, "no_pack"),
    }
    (fact,) = await bench.said(photo_id)
    assert (fact.width, fact.height, fact.faces) == (640, 480, 1)
    assert await bench.photos.queue.library_has(bench.library, stage=PEOPLE)
    (tag,) = await bench.photos.tags_of(bench.library, [photo_id])
    assert tag["label"] == "cat"
    assert await verify(bench.library, blobs=bench.blobs, photos=bench.photos) == (2, [])


async def test_what_a_batch_took_is_measured_and_how_each_photo_ended(bench: Bench) -> None:
    for content in (PICTURE, PICTURE + b"\0", b"no picture"):
        await bench.upload(content)

    class Renderer(PlainRenderer):
        async def render(self, original: Original, *, rank: int) -> Rendering:  # noqa: ARG002
            if original.head.startswith(b"no"):
                raise RejectedError("undecodable", "nothing")
            return render(original.head)

    async with Growth() as growth:
        async with bench.working(renderer=Renderer()):
            await expect_soon(bench.quiet)
        ended = [
            await growth.of("gallery_analysed_photos_total", state=state) for state in ("done", "rejected", "failed")
        ]
        assert ended == [2, 1, 0]
        assert await growth.of("gallery_model_batch_photos_sum") == 2
        batches = await growth.of("gallery_model_batch_photos_count")
        assert await growth.of("gallery_model_batch_seconds_count", model="all") == batches
        assert await growth.of("gallery_photo_step_seconds_count", step="decode") == 3
        assert await growth.of("gallery_photo_step_seconds_count", step="keep") == 2


async def test_a_photo_without_faces_is_done_with_people_too(bench: Bench) -> None:
    photo_id = await bench.upload(PICTURE)
    async with bench.working(looker=FakeLooker(lambda _: Seen())):
        await expect_soon(bench.quiet)
    assert (await bench.outcomes(photo_id))["people"] == (pb.STAGE_STATE_DONE, "no_faces")
    assert not await bench.photos.queue.library_has(bench.library, stage=PEOPLE)


async def test_many_photos_are_looked_at_in_batches(bench: Bench) -> None:
    photos = [await bench.upload(PICTURE) for _ in range(40)]
    looker = FakeLooker()
    async with bench.working(looker=looker):
        await expect_soon(bench.quiet)
    assert sum(looker.batches) == 40
    assert len(looker.batches) < 40
    assert all([len(await bench.said(photo_id)) == 1 for photo_id in photos])


async def test_a_bad_file_is_rejected_by_name_and_its_neighbours_are_not(bench: Bench) -> None:
    bad = await bench.upload(b"\xff\xd8\xff\xe0 no photo")
    good = await bench.upload(PICTURE)
    async with bench.working():
        await expect_soon(bench.quiet)
    assert set((await bench.outcomes(bad)).values()) == {(pb.STAGE_STATE_REJECTED, "truncated")}
    assert set(await bench.outcomes(bad)) == {"rendered", "faces", "tags", "text", "people"}
    assert (await bench.outcomes(good))["rendered"] == (pb.STAGE_STATE_DONE, "")


@pytest.mark.parametrize(
    ("failures", "error", "state"),
    [
        (2, DecoderDiedError("killed"), pb.STAGE_STATE_DONE),
        (99, DecoderDiedError("killed"), pb.STAGE_STATE_FAILED),
        (2, ValueError("what is this"), pb.STAGE_STATE_DONE),
        (3, ValueError("what is this"), pb.STAGE_STATE_FAILED),
    ],
)
async def test_what_is_not_the_files_fault_is_tried_again_a_few_times(
    bench: Bench, failures: int, error: Exception, state: int
) -> None:
    photo_id = await bench.upload(PICTURE)
    async with bench.working(renderer=PlainRenderer(failures=failures, error=error)):
        await expect_soon(bench.quiet)
    assert (await bench.outcomes(photo_id))["rendered"][0] == state


class GoneBlobs(MemoryBlobs):
    """Has lost what it had."""

    fault: type[BlobError] | None = None

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if self.fault is not None:
            raise self.fault(key)
        async for chunk in super().read(key, start=start, length=length):
            yield chunk


@pytest.mark.parametrize(
    ("fault", "code"), [(BlobNotFoundError, "original_missing"), (BlobChangedError, "original_changed")]
)
async def test_an_original_that_is_gone_is_told_by_name_at_once(
    bench: Bench, fault: type[BlobError], code: str
) -> None:
    bench.blobs = blobs = GoneBlobs()
    blobs.fault = fault
    photo_id = await bench.upload(PICTURE)
    async with bench.working():
        await expect_soon(bench.quiet)
    assert set((await bench.outcomes(photo_id)).values()) == {(pb.STAGE_STATE_FAILED, code)}
    (fact,) = await bench.said(photo_id)
    assert {stage.attempts for stage in fact.stages} == {1}


class FullBlobs(MemoryBlobs):
    """Refuses what is put while it is full; says so before, where ``said``."""

    def __init__(self, *, said: bool) -> None:
        super().__init__()
        self.full = False
        self.said = said
        self.refused = self.asked = 0

    async def room(self) -> int | None:
        self.asked += 1
        return 0 if self.full and self.said else None

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, sha256: bytes | None = None) -> StoredBlob:
        if self.full and "thumbnail" in key:
            self.refused += 1
            raise BlobStoreFullError(key)
        return await super().put(key, chunks, sha256=sha256)


async def test_want_of_room_is_no_photos_fault_however_often_it_is_met(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysing, "AFTER_FULL", timedelta(0))
    bench.blobs = blobs = FullBlobs(said=False)
    photo_id = await bench.upload(PICTURE)
    blobs.full = True

    async def refused() -> bool:
        return blobs.refused > analysing.CLAIMS + 5

    async with bench.working():
        await expect_soon(refused)
        blobs.full = False
        await expect_soon(bench.quiet)
    assert [stage.attempts for stage in (await bench.said(photo_id))[0].stages] == [1, 1, 1, 1]
    assert (await bench.outcomes(photo_id))["rendered"] == (pb.STAGE_STATE_DONE, "")
    assert len([key async for key in blobs.keys("renditions")]) == 2


async def test_nothing_is_looked_at_in_vain_while_there_is_no_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysing, "WHILE_FULL", timedelta(milliseconds=1))
    bench.blobs = blobs = FullBlobs(said=True)
    await bench.upload(PICTURE)
    blobs.full = True
    looker = FakeLooker()

    async def asked() -> bool:
        return blobs.asked > 20

    async with bench.working(looker=looker):
        await expect_soon(asked)
        assert looker.batches == []
        blobs.full = False
        await expect_soon(bench.quiet)
    assert looker.batches == [1]


async def test_a_picture_that_upsets_the_models_fails_alone(bench: Bench) -> None:
    def see(picture: np.ndarray) -> Seen:
        if picture.shape[1] == 100:
            raise RuntimeError("the network does not like it")
        return Seen()

    poison = await bench.upload(saved(quarters(100, 80), "JPEG"))
    others = [await bench.upload(PICTURE) for _ in range(5)]
    async with bench.working(looker=FakeLooker(see)):
        await expect_soon(bench.quiet)
    assert set((await bench.outcomes(poison)).values()) == {(pb.STAGE_STATE_FAILED, "gave_up")}
    for photo_id in others:
        assert (await bench.outcomes(photo_id))["rendered"][0] == pb.STAGE_STATE_DONE


async def test_a_lost_lease_leaves_nothing(bench: Bench) -> None:
    photo_id = await bench.upload(PICTURE)
    analysis = bench.analysis()
    (late,) = await bench.photos.queue.claim(stages=[ANALYSE], limit=1, lease=timedelta(0))
    rendered = await analysis.render(late)
    assert rendered is not None
    (other,) = await bench.photos.queue.claim(stages=[ANALYSE], limit=1, lease=timedelta(minutes=1))
    with pytest.raises(LeaseLostError):
        await analysis.keep(rendered, Seen(), cpu_seconds=0)
    assert await bench.said(photo_id) == []
    assert await verify(bench.library, blobs=bench.blobs, photos=bench.photos) == (0, [])
    again = await analysis.render(other)
    assert again is not None
    await analysis.keep(again, Seen(), cpu_seconds=0)
    assert await verify(bench.library, blobs=bench.blobs, photos=bench.photos) == (2, [])


async def test_what_a_dead_process_left_is_swept_and_what_a_living_one_writes_is_not(bench: Bench) -> None:
    await bench.upload(PICTURE)
    (dead,) = await bench.photos.queue.claim(stages=[ANALYSE], limit=1, lease=timedelta(0))
    key = f"renditions/{bench.library}/left-behind"
    await bench.photos.declare(dead, [key])
    await bench.blobs.put(key, chunks(b"half a picture"))
    (living,) = await bench.photos.queue.claim(stages=[ANALYSE], limit=1, lease=timedelta(minutes=1))
    await bench.photos.declare(living, [f"{key}-2"])
    await bench.blobs.put(f"{key}-2", chunks(b"half a picture"))
    assert await bench.analysis().sweep() == 1
    assert [found async for found in bench.blobs.keys("renditions")] == [f"{key}-2"]

    await bench.blobs.put(key, chunks(b"what the dead asked for comes true late"))
    assert await bench.analysis().sweep() == 1
    assert [found async for found in bench.blobs.keys("renditions")] == [f"{key}-2"]
    async with bench.database.transaction() as tx:
        await tx.execute(b"UPDATE intents SET abandoned_at = abandoned_at - interval '10 minutes'")
    assert await bench.analysis().sweep() == 1
    assert await bench.analysis().sweep() == 0


async def test_pictures_that_were_swept_are_not_referred_to_by_whoever_was_only_paused(bench: Bench) -> None:
    class SweptWhenPut(MemoryBlobs):
        async def put(self, key: str, chunks: AsyncIterator[bytes], *, sha256: bytes | None = None) -> StoredBlob:
            stored = await super().put(key, chunks, sha256=sha256)
            if key.startswith("renditions"):
                await bench.analysis().sweep()
            return stored

    bench.blobs = SweptWhenPut()
    photo_id = await bench.upload(PICTURE)
    (paused,) = await bench.photos.queue.claim(stages=[ANALYSE], limit=1, lease=timedelta(0))
    rendered = await bench.analysis().render(paused)
    assert rendered is not None
    with pytest.raises(LeaseLostError):
        await bench.analysis().keep(rendered, Seen(), cpu_seconds=0)
    assert await bench.said(photo_id) == []
    assert [found async for found in bench.blobs.keys("renditions")] == []


async def test_a_second_look_replaces_pictures_and_keeps_the_faces_it_finds_again(bench: Bench) -> None:
    photo_id = await bench.upload(PICTURE)
    async with bench.working():
        await expect_soon(bench.quiet)
    (first,) = await bench.photos.faces_of(bench.library, [photo_id])
    await bench.photos.ask_for_outdated(PACKS)
    assert await bench.quiet()
    await bench.photos.ask_for_outdated(Packs("another", "fake-tags"))
    shifted = Seen((face((0.27, 0.25, 0.5, 0.5)), face((0.8, 0.8, 0.1, 0.1))))
    async with bench.working(looker=FakeLooker(lambda _: shifted)):
        await expect_soon(bench.quiet)
    faces = await bench.photos.faces_of(bench.library, [photo_id])
    assert len(faces) == 2
    assert first["id"] == faces[0]["id"]
    assert len(await bench.said(photo_id)) == 2
    await bench.analysis().sweep()
    assert await verify(bench.library, blobs=bench.blobs, photos=bench.photos) == (2, [])


async def test_a_stopped_role_gives_back_what_it_holds(bench: Bench) -> None:
    await bench.upload(PICTURE)
    stuck = asyncio.Event()

    class Stuck:
        async def render(self, original: Original, *, rank: int) -> Rendering:  # noqa: ARG002
            stuck.set()
            await asyncio.Event().wait()
            raise AssertionError(original)

    async with bench.working(renderer=Stuck()):
        await stuck.wait()
    (leased,) = await bench.photos.queue.claim(stages=[ANALYSE], limit=1, lease=timedelta(minutes=1))
    assert leased.attempt == 1


async def test_leases_of_slow_work_are_lengthened(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysing, "LEASE", timedelta(milliseconds=200))
    photo_id = await bench.upload(PICTURE)
    started, go_on = asyncio.Event(), asyncio.Event()

    class Slow(PlainRenderer):
        async def render(self, original: Original, *, rank: int) -> Rendering:
            started.set()
            await go_on.wait()
            return await super().render(original, rank=rank)

    async def lengthened() -> bool:
        (row,) = await bench.rows("SELECT leased_until > created + interval '1 second' AS longer FROM work")
        return bool(row["longer"])

    async with bench.working(renderer=Slow()):
        await started.wait()
        await expect_soon(lengthened)
        assert not await bench.photos.queue.claim(stages=[ANALYSE], limit=1, lease=timedelta(minutes=1))
        go_on.set()
        await expect_soon(bench.quiet)
    (stage, *_) = (await bench.said(photo_id))[0].stages
    assert stage.attempts == 1


async def test_heard_of_twice_a_photo_is_analysed_once(bench: Bench) -> None:
    photo_id = await bench.upload(PICTURE)
    async with bench.working():
        await expect_soon(bench.quiet)
    photo = await bench.photos.photo(photo_id)
    assert photo is not None
    async with bench.database.transaction(keys=[str(photo_id)]) as tx:
        await bench.photos.take_in(tx, photo, lane=Lane.BACKFILL)
    assert await bench.quiet()


@asynccontextmanager
async def jailed() -> AsyncIterator[tuple[Jail, JailedRenderer]]:
    limits = Limits(memory=512 << 20, cpu=TIME_LIMIT, wall=TIME_LIMIT)
    async with Jail(children=2, target=TARGET, limits=limits) as jail:
        yield jail, JailedRenderer(jail, max_pixels=200_000_000)


async def test_in_the_jail_real_photos_come_out_and_killed_decoders_are_replaced(bench: Bench, shared: Path) -> None:
    async with jailed() as (jail, renderer):
        photos = [
            await bench.upload(path.read_bytes()) for path in sorted((shared / "photos/objects").glob("*.jpg"))[:12]
        ]
        async with bench.working(renderer=renderer):
            for _ in range(5):
                await expect_soon(_running(jail))
                os.kill(next(filter(None, (child.pid for child in jail._children))), signal.SIGKILL)
                await asyncio.sleep(0.05)
            await expect_soon(bench.quiet)
    for photo_id in photos:
        assert (await bench.outcomes(photo_id))["rendered"] == (pb.STAGE_STATE_DONE, "")


def _running(jail: Jail) -> Callable[[], Any]:
    async def running() -> bool:
        return any(child.pid for child in jail._children)

    return running
