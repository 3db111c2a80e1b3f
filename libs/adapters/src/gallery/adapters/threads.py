"""Blocking work beside the loop."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result], *, executor: Executor | None = None) -> Result:
    """Run blocking work off the loop. A cancelled caller waits for its end, lest its file be closed under it.

    Args:
        work: What blocks.
        executor: By default the loop's own.
    """
    return await to_its_end(asyncio.get_running_loop().run_in_executor(executor, work))


async def to_its_end(work: Awaitable[Result]) -> Result:
    """Await what must not be left half done: a cancelled caller is cancelled only after it."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
