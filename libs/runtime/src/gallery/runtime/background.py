"""Loops that run as long as a block is open."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from gallery.runtime.logs import get_logger

log = get_logger(__name__)

CANCEL_AGAIN_AFTER = timedelta(seconds=1)


@asynccontextmanager
async def background(**tasks: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run coroutines while the block is open; their names are those of the arguments.

    A coroutine that returns is simply over. One that fails cancels the block and the others, and its error leaves the
    block as it is, not wrapped; several errors leave as a group. At the end of the block all are cancelled and awaited.
    """
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(_named(name, work), name=name) for name, work in tasks.items()]
            try:
                await asyncio.sleep(0)  # each has begun: one cancelled before would leave its coroutine unawaited
                yield
            finally:
                await _end(running)
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__
        raise


async def finish(work: Coroutine[Any, Any, None], *, grace: timedelta) -> None:
    """Wait for work that had better not be cut off, such as closing something: a cancellation is obeyed after its end.

    Args:
        work: What it raises is raised.
        grace: The most that it may go on once we are cancelled; then it is cancelled, too.
    """
    task = asyncio.create_task(work)
    interrupted: asyncio.CancelledError | None = None
    deadline = float("inf")
    while not task.done() and (left := deadline - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.wait([task], timeout=left if interrupted else None)
        except asyncio.CancelledError as error:
            if interrupted is None:
                deadline = asyncio.get_running_loop().time() + grace.total_seconds()
            interrupted = error
    await _end([task])
    if interrupted is not None:
        raise interrupted from (None if task.cancelled() else task.exception())
    task.result()


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until all are over.

    One cancellation can get lost: asyncio.wait_for of Python 3.11 drops one that meets the answer it waits for, and the
    connection pool waits with it. So it is repeated, and our own is obeyed only after.
    """
    interrupted: asyncio.CancelledError | None = None
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=CANCEL_AGAIN_AFTER.total_seconds())
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


async def _named(name: str, work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Exception:
        log.exception("background task failed", task=name)
        raise
