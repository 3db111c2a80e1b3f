"""A loop that loses a cancellation still ends with its block."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from gallery.runtime.background import background, finish


async def deaf_at_first(heard: list[int]) -> None:
    """Lose the first cancellation, as a wait does that meets its answer at the same moment."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    heard.append(1)
    await asyncio.Event().wait()


async def test_a_lost_cancellation_is_repeated() -> None:
    heard: list[int] = []
    async with asyncio.timeout(10), background(loop=deaf_at_first(heard)):
        await asyncio.sleep(0)
    assert heard == [1]


async def test_what_closes_is_not_cut_off() -> None:
    begun, may_end, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def close() -> None:
        begun.set()
        await may_end.wait()
        closed.set()

    task = asyncio.create_task(finish(close(), grace=timedelta(seconds=10)))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def test_what_never_closes_is_cut_off_after_its_grace() -> None:
    begun, cut_off = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()

    task = asyncio.create_task(finish(hang(), grace=timedelta(milliseconds=20)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cut_off.is_set()


async def test_what_fails_to_close_says_so() -> None:
    async def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await finish(fail(), grace=timedelta(0))


async def test_a_block_that_ends_at_once_leaves_nothing_unawaited() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with background(work=work()):
        pass
    assert begun.is_set()
