"""A bus in memory, for tests: as forgetful as its process, and as unordered between keys as Kafka."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from gallery.ports.bus import Message


class MemorySubscription:
    """One member of a subscription."""

    def __init__(self, bus: "MemoryBus", topics: Sequence[str], committed: set[UUID]) -> None:
        self._bus = bus
        self._topics = topics
        self._committed = committed
        self._handed_out: set[UUID] = set()

    async def poll(self, *, limit: int, timeout: timedelta) -> Sequence[Message]:
        """See ``Subscription.poll``."""
        try:
            async with asyncio.timeout(timeout.total_seconds()), self._bus.changed:
                await self._bus.changed.wait_for(self._waiting)
        except TimeoutError:
            return []
        messages = self._bus.arranged(self._waiting()[:limit])
        self._handed_out |= {message.id for message in messages}
        return messages

    async def commit(self, messages: Sequence[Message]) -> None:
        """See ``Subscription.commit``."""
        self._committed |= {message.id for message in messages}

    def _waiting(self) -> list[Message]:
        gone = self._committed | self._handed_out
        return [message for message in self._bus.log if message.topic in self._topics and message.id not in gone]


class MemoryBus:
    """Keeps every message; ``shuffle`` mixes the order between keys, never within one."""

    def __init__(self, *, shuffle: random.Random | None = None) -> None:
        self.log: list[Message] = []
        self.changed = asyncio.Condition()
        self._committed: dict[str, set[UUID]] = defaultdict(set)
        self._shuffle = shuffle

    async def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages to every subscription of their topics."""
        async with self.changed:
            self.log.extend(messages)
            self.changed.notify_all()

    @asynccontextmanager
    async def subscribe(self, name: str, topics: Sequence[str]) -> AsyncIterator[MemorySubscription]:
        """See ``Bus.subscribe``."""
        yield MemorySubscription(self, topics, self._committed[name])

    def arranged(self, messages: list[Message]) -> list[Message]:
        """Return messages in the order to hand out."""
        if self._shuffle is None:
            return messages
        by_key: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            by_key[message.key].append(message)
        slots = [message.key for message in messages]
        self._shuffle.shuffle(slots)
        return [by_key[key].pop(0) for key in slots]
