"""Handling messages of several keys in one transaction, which is what makes small effects cheap.

Whoever comes first handles those that have come meanwhile, too. When that fails, each is handled alone, so that only
the culprit pays.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gallery.runtime.delivery import Batch, Delivery, Received
from gallery.runtime.errors import AlreadyHandledError, TransientError

MOST = 64
"""Messages of one transaction; more make it hardly cheaper, and a failure dearer."""

BatchHandler = Callable[[Batch], Awaitable[None]]


@dataclass(slots=True, eq=False)
class _Waiting:
    delivery: Delivery
    received: Received
    settled: bool = False
    error: Exception | None = None

    def settle(self, error: Exception | None = None) -> None:
        self.settled, self.error = True, error


class Together:
    """A handler of batches in the place of one of single messages.

    The messages of a batch have different keys. What is said in its transaction belongs to the trace of one of them.
    """

    def __init__(self, handle: BatchHandler) -> None:
        self._handle = handle
        self._waiting: deque[_Waiting] = deque()
        self._turn = asyncio.Lock()

    async def __call__(self, delivery: Delivery, body: Any) -> None:
        """Handle a message together with those that wait beside it; after a failed attempt, alone.

        Raises:
            AlreadyHandledError: The event was handled before.
            TransientError: Whoever handled it was cut off.
            Exception: The handler's, of this message alone.
        """
        own = _Waiting(delivery, Received(delivery.message, body))
        if delivery.attempt > 1:
            await self._settle([own])
        else:
            await self._wait(own)
        if own.error is not None:
            raise own.error

    async def _wait(self, own: _Waiting) -> None:
        self._waiting.append(own)
        try:
            async with self._turn:
                await asyncio.sleep(0)  # whoever was woken with us joins
                if not own.settled:
                    batch = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
                    await self._settle(batch)
        finally:
            if not own.settled and own in self._waiting:
                self._waiting.remove(own)

    async def _settle(self, waiting: Sequence[_Waiting]) -> None:
        """Handle them; whatever comes in between, nobody waits any longer for what was taken out of the queue."""
        try:
            await self._try(waiting)
        finally:
            for each in waiting:
                if not each.settled:
                    each.settle(TransientError("the attempt of another, which this one was part of, was cut off"))

    async def _try(self, waiting: Sequence[_Waiting]) -> None:
        batch = Batch([each.received for each in waiting], of=waiting[0].delivery)
        try:
            await self._handle(batch)
        except Exception as error:  # noqa: BLE001  # whatever a handler raises; it is judged by whoever asked for it
            if len(waiting) == 1:
                waiting[0].settle(error)
                return
            for each in waiting:
                await self._try([each])
        else:
            for each in waiting:
                known = each.delivery.message.id in batch.known
                each.settle(AlreadyHandledError("this event was handled before") if known else None)
