"""A photo that somebody waits for overtakes those of a backfill that the analyse role has in hand, but not for ever."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio
from support.analysis_bench import PICTURE, Bench, PlainRenderer, running_bench
from support.looking import FakeLooker
from support.pictures import quarters, saved
from support.waiting import PATIENCE_SECONDS, expect_soon

from gallery.ml_worker.analysing import AHEAD, OVERTAKING
from gallery.ml_worker.domain import Original, Picture, Rendering, Seen
from gallery.ml_worker.media.renderer import TARGET, TIME_LIMIT, JailedRenderer
from gallery.runtime.jail import Jail
from gallery.runtime.leases import Lane
from gallery.runtime.limits import Limits
from gallery.runtime.pool import Pool


@pytest_asyncio.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with running_bench(database_url) as bench:
        yield bench


class OneDecoder(PlainRenderer):
    """Decodes one photo at a time, the lowest rank first, and only as many as it may.

    Attributes:
        asked: Sizes of the files that it was asked to decode.
        decoded: Sizes of those that it has decoded.
        may: Holds a permit for each further one.
    """

    def __init__(self, *, may: int = 0) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.decoded: list[int] = []
        self.may = asyncio.Semaphore(may)
        self._pool = Pool(["decoder"])

    async def render(self, original: Original, *, rank: int) -> Rendering:
        self.asked.append(original.size)
        async with self._pool.lent(rank=rank):
            await self.may.acquire()
            self.decoded.append(original.size)
            return await super().render(original, rank=rank)

    def holds(self, least: int, content: bytes) -> Callable[[], Awaitable[bool]]:
        """Whether at least so many files like this one wait or are being decoded."""

        async def holds() -> bool:
            return self.asked.count(len(content)) - self.decoded.count(len(content)) >= least

        return holds

    def has_decoded(self, files: int) -> Callable[[], Awaitable[bool]]:
        async def has_decoded() -> bool:
            return len(self.decoded) == files

        return has_decoded


LIVE = saved(quarters(100, 80), "JPEG")


async def test_a_photo_that_somebody_waits_for_overtakes_a_backfill_to_the_decoders(bench: Bench) -> None:
    for _ in range(AHEAD):
        await bench.upload(PICTURE, lane=Lane.BACKFILL)
    renderer = OneDecoder()
    async with bench.working(renderer=renderer):
        await expect_soon(renderer.holds(AHEAD, PICTURE))
        await bench.upload(LIVE)
        await expect_soon(renderer.holds(1, LIVE))
        for _ in range(AHEAD + 1):
            renderer.may.release()
        await expect_soon(bench.quiet)
    assert renderer.decoded == [len(PICTURE), len(LIVE), *[len(PICTURE)] * (AHEAD - 1)]


async def test_the_lowest_rank_has_the_next_jailed_decoder() -> None:
    decoded: list[int] = []
    limits = Limits(memory=512 << 20, cpu=TIME_LIMIT, wall=TIME_LIMIT)
    async with Jail(children=1, target=TARGET, limits=limits) as jail:
        renderer = JailedRenderer(jail, max_pixels=1_000_000)

        async def decode(rank: int) -> None:
            await renderer.render(Original(len(LIVE), LIVE), rank=rank)
            decoded.append(rank)

        await asyncio.gather(*map(decode, [7, 3, 2, 1]))
    assert decoded == [7, 1, 2, 3]


async def test_a_photo_that_somebody_waits_for_overtakes_a_backfill_to_the_models(bench: Bench) -> None:
    for _ in range(AHEAD):
        await bench.upload(PICTURE, lane=Lane.BACKFILL)
    go_on, widths = threading.Event(), list[int]()

    def see(picture: Picture) -> Seen:
        assert go_on.wait(PATIENCE_SECONDS)
        widths.append(picture.shape[1])
        return Seen()

    renderer, looker = OneDecoder(may=AHEAD + 1), FakeLooker(see)
    async with bench.working(renderer=renderer, looker=looker):
        try:
            await expect_soon(renderer.has_decoded(AHEAD))
            await bench.upload(LIVE)
            await expect_soon(renderer.has_decoded(AHEAD + 1))
        finally:
            go_on.set()
        await expect_soon(bench.quiet)
    assert widths.index(100) == looker.batches[0]  # the first of those that the models had not had yet
    assert looker.batches[1] == 1


async def test_the_models_are_kept_free_for_a_photo_that_somebody_waits_for(bench: Bench) -> None:
    for _ in range(2):
        await bench.upload(PICTURE, lane=Lane.BACKFILL)
    widths: list[int] = []

    def see(picture: Picture) -> Seen:
        widths.append(picture.shape[1])
        return Seen()

    renderer = OneDecoder()
    async with bench.working(renderer=renderer, looker=FakeLooker(see)):
        await expect_soon(renderer.holds(2, PICTURE))
        await bench.upload(LIVE)
        await expect_soon(renderer.holds(1, LIVE))
        renderer.may.release()
        await expect_soon(renderer.has_decoded(1))  # of the backfill; it had the decoder already
        for _ in range(2):
            renderer.may.release()
        await expect_soon(bench.quiet)
    assert widths[0] == 100


async def test_photos_of_a_backfill_are_not_overtaken_for_ever(bench: Bench) -> None:
    for _ in range(2):
        await bench.upload(PICTURE, lane=Lane.BACKFILL)
    renderer = OneDecoder()
    async with bench.working(renderer=renderer):
        await expect_soon(renderer.holds(2, PICTURE))
        for _ in range(2 * AHEAD):
            await bench.upload(LIVE)
        for decoded in range(AHEAD + OVERTAKING + 2):
            await expect_soon(renderer.holds(2, LIVE))  # one at least waits whenever the decoder is free again
            renderer.may.release()
            await expect_soon(renderer.has_decoded(decoded + 1))
        until_then = list(renderer.decoded)
        for _ in range(2 * AHEAD):
            renderer.may.release()
        await expect_soon(bench.quiet)
    assert until_then.count(len(PICTURE)) == 2
