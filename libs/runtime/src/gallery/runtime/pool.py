"""Things that are lent to one caller at a time, in the order of the callers' ranks."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Lends each thing to one caller at a time; the one that came back last goes out first."""

    def __init__(self, things: Iterable[T]) -> None:
        self._free = list(things)
        self._asking: list[tuple[int, int, asyncio.Future[T]]] = []
        self._number = itertools.count()

    @asynccontextmanager
    async def lent(self, *, rank: int) -> AsyncIterator[T]:
        """Wait for a thing and have it while the block is open.

        Args:
            rank: Of those who wait, the lowest is served first; among equals, who asked first.
        """
        thing = await self._take(rank)
        try:
            yield thing
        finally:
            self._put_back(thing)

    async def _take(self, rank: int) -> T:
        if self._free:
            return self._free.pop()
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asking, (rank, next(self._number), turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was our turn in the moment that we were cancelled
                self._put_back(turn.result())
            raise

    def _put_back(self, thing: T) -> None:
        while self._asking:
            *_, turn = heapq.heappop(self._asking)
            if not turn.done():
                turn.set_result(thing)
                return
        self._free.append(thing)
