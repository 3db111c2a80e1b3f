"""Is this process getting on? Steps say how long they may take; one that takes longer is seen, with its stacks."""

import asyncio
import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gallery.runtime import metrics
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

LOOK_EVERY = timedelta(seconds=1)

LOOP_AT_MOST = timedelta(seconds=20)
"""A loop that did not turn for so long is blocked: nothing of ours computes in it."""


@dataclass(slots=True, eq=False)
class _Step:
    name: str
    until: float
    told: bool = False


_under_way: set[_Step] = set()
"""Of the process: its liveness is one, however many parts it has."""


@contextmanager
def step(name: str, *, at_most: timedelta) -> Iterator[None]:
    """Note that something is under way which ends within ``at_most``, unless it is stuck."""
    own = _Step(name, time.monotonic() + at_most.total_seconds())
    _under_way.add(own)
    try:
        yield
    finally:
        _under_way.discard(own)


def stuck() -> list[str]:
    """Names of the steps that take too long."""
    now = time.monotonic()
    return sorted(each.name for each in _under_way if now > each.until)


async def watch() -> None:
    """Log the stacks of every task when a step turns out to be stuck, and of every thread when the loop does."""
    with metrics.sampled(_sample):
        try:
            while True:
                faulthandler.dump_traceback_later(LOOP_AT_MOST.total_seconds())
                _tell()
                await asyncio.sleep(LOOK_EVERY.total_seconds())
        finally:
            faulthandler.cancel_dump_traceback_later()


async def _sample() -> list[metrics.Sample]:
    return [metrics.STUCK.at(len(stuck()))]


def _tell() -> None:
    now = time.monotonic()
    for each in [each for each in _under_way if now > each.until and not each.told]:
        each.told = True
        log.error("a step is stuck", step=each.name, tasks=_stacks())


def _stacks() -> dict[str, list[str]]:
    return {task.get_name(): list(_places(task.get_coro())) for task in asyncio.all_tasks()}


def _places(waiting: Any) -> Iterator[str]:
    """Where coroutines that wait for one another stand, the outermost first, which is all that a task knows."""
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        yield f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
        waiting = waiting.cr_await
