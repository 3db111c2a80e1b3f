"""A bus in memory, for tests: as forgetful as its process, and as unordered between keys as Kafka."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from gallery.adapters.deliveries import Progress, shuffled
from gallery.ports.bus import Message


class MemorySubscription:
    """The one member of a subscription; ``committed`` outlives it."""

    generation = 0

    def __init__(self, bus: "MemoryBus", topics: Sequence[str], committed: dict[str, int]) -> None:
        self._bus = bus
        self._committed = committed
        self._read = {topic: committed.get(topic, 0) for topic in topics}
        self._progress: dict[str, Progress[int]] = {topic: Progress() for topic in topics}

    async def poll(self, *, limit: int, timeout: timedelta) -> Sequence[Message]:
        """See ``Subscription.poll``."""
        try:
            async with asyncio.timeout(timeout.total_seconds()), self._bus.changed:
                await self._bus.changed.wait_for(self._waiting)
        except TimeoutError:
            return []
        return shuffled(self._take(limit), self._bus.shuffle)

    async def commit(self, messages: Sequence[Message]) -> None:
        """See ``Subscription.commit``."""
        done = {message.id for message in messages}
        for topic, progress in self._progress.items():
            if (reached := progress.commit(done)) is not None:
                self._committed[topic] = reached

    def _waiting(self) -> bool:
        return any(read < len(self._bus.log[topic]) for topic, read in self._read.items())

    def _take(self, limit: int) -> list[Message]:
        taken: list[Message] = []
        for topic, read in self._read.items():
            for message in self._bus.log[topic][read : read + limit - len(taken)]:
                taken.append(message)
                self._read[topic] += 1
                self._progress[topic].hand_out(message.id, self._read[topic])
        return taken


class MemoryBus:
    """Keeps every message; ``shuffle`` mixes the order between keys, never within one."""

    def __init__(self, *, shuffle: random.Random | None = None) -> None:
        self.log: dict[str, list[Message]] = defaultdict(list)
        self.changed = asyncio.Condition()
        self.shuffle = shuffle
        self._committed: dict[str, dict[str, int]] = defaultdict(dict)
        self._members: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages to every subscription of their topics."""
        async with self.changed:
            for message in messages:
                self.log[message.topic].append(message)
            self.changed.notify_all()

    @asynccontextmanager
    async def subscribe(self, name: str, topics: Sequence[str]) -> AsyncIterator[MemorySubscription]:
        """See ``Bus.subscribe``; a second member waits until the first has left."""
        async with self._members[name]:
            yield MemorySubscription(self, topics, self._committed[name])
