"""One lane for each key: in order within a lane, several lanes at once, and a lane that pauses holds up no other."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Generic, Protocol, TypeVar


class Keyed(Protocol):
    """Something whose order matters among those of its key."""

    @property
    def key(self) -> str:
        """Name of the lane."""
        ...


T = TypeVar("T", bound=Keyed)

Settle = Callable[[T, int], Awaitable[timedelta | None]]
"""Deal with the head of a lane in its n-th attempt, from 1; None when that is over, else the pause before the next."""


class Lanes(Generic[T]):
    """Items on their way; only ``workers`` of them are dealt with at a time."""

    def __init__(self, settle: Settle[T]) -> None:
        self._settle = settle
        self._lanes: dict[str, deque[T]] = {}
        self._attempts: dict[str, int] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._settled: list[T] = []
        self._progress = asyncio.Condition()
        self._waiting = 0

    def add(self, items: Iterable[T]) -> None:
        """Put items at the ends of their lanes."""
        for item in items:
            lane = self._lanes.get(item.key)
            if lane is None:
                lane = self._lanes[item.key] = deque()
                self._ready.put_nowait(item.key)
            lane.append(item)
            self._waiting += 1

    def heads(self) -> list[T]:
        """The first of each lane: what is dealt with now or next."""
        return [lane[0] for lane in self._lanes.values()]

    async def room(self, most: int) -> None:
        """Wait until fewer than ``most`` items are on their way."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._waiting < most)

    async def settled(self) -> list[T]:
        """Wait for items that are dealt with, and take them out."""
        async with self._progress:
            await self._progress.wait_for(lambda: bool(self._settled))
        taken, self._settled = self._settled, []
        return taken

    async def work(self) -> None:
        """Deal with heads of lanes until cancelled; run as many of these as may go on at once."""
        while True:
            key = await self._ready.get()
            attempt = self._attempts.get(key, 0) + 1
            pause = await self._settle(self._lanes[key][0], attempt)
            if pause is None:
                await self._advance(key)
            else:
                self._attempts[key] = attempt
                asyncio.get_running_loop().call_later(pause.total_seconds(), self._ready.put_nowait, key)

    async def _advance(self, key: str) -> None:
        self._attempts.pop(key, None)
        lane = self._lanes[key]
        self._settled.append(lane.popleft())
        self._waiting -= 1
        if lane:
            self._ready.put_nowait(key)
        else:
            del self._lanes[key]
        async with self._progress:
            self._progress.notify_all()
