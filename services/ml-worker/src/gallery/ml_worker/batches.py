"""Pictures on their way to the models: whom somebody waits for goes first, but nobody is overtaken for ever."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from gallery.ml_worker.domain import Picture, Seen


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """Whose turn it is before whose: the lowest goes first.

    Attributes:
        rank: As decoders are lent by.
        number: No two are equal.
        urgent: Whether somebody waits for it.
    """

    rank: int
    number: int
    urgent: bool


class Waiting(NamedTuple):
    """A picture that waits for the models, and where to put what they see and the processor's seconds for it."""

    turn: Turn
    picture: Picture
    seen: asyncio.Future[tuple[Seen, float]]


class Batches:
    """Gives turns out, and collects pictures into batches by them.

    Args:
        size: Pictures of a batch, at most.
        overtakes: Turns given out before its own that an urgent one goes before. An ordinary one waits for no more
            urgent ones than that.
    """

    def __init__(self, *, size: int, overtakes: int) -> None:
        self._size = size
        self._overtakes = overtakes
        self._numbers = itertools.count()
        self._waiting: asyncio.PriorityQueue[Waiting] = asyncio.PriorityQueue()
        self._coming: set[Turn] = set()
        self._one_came = asyncio.Event()

    def turn(self, *, urgent: bool) -> Turn:
        """Give the next turn out."""
        number = next(self._numbers)
        return Turn(number - self._overtakes if urgent else number, number, urgent)

    @contextmanager
    def coming(self, turn: Turn) -> Iterator[None]:
        """Begin no batch of ordinary pictures that an urgent one overtakes, while it is decoded in this block."""
        if turn.urgent:
            self._coming.add(turn)
        try:
            yield
        finally:
            self._coming.discard(turn)
            self._one_came.set()

    async def seen(self, turn: Turn, picture: Picture) -> tuple[Seen, float]:
        """Wait in turn until it was looked at; what was found, and its share of the processor's seconds."""
        seen: asyncio.Future[tuple[Seen, float]] = asyncio.get_running_loop().create_future()
        await self._waiting.put(Waiting(turn, picture, seen))
        return await seen

    async def next(self) -> list[Waiting]:
        """Fill a batch, but none that somebody waits for with what would only make it last longer."""
        batch = [await self._first()]
        while len(batch) < self._size and not self._waiting.empty():
            another = self._waiting.get_nowait()
            if batch[0].turn.urgent and not another.turn.urgent:
                self._waiting.put_nowait(another)
                break
            batch.append(another)
        return batch

    async def _first(self) -> Waiting:
        while True:
            first = await self._waiting.get()
            if first.turn.urgent or all(turn > first.turn for turn in self._coming):
                return first
            self._waiting.put_nowait(first)
            self._one_came.clear()
            await self._one_came.wait()
