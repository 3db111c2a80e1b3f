"""The loop between a bus and the handlers of one service.

In order for each key, several keys at once. An effect, the memory of its event and the facts it causes are one
transaction, which a handler of batches shares between keys; offsets are committed after it. A message that cannot be
handled ends as a dead letter, never in silence.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from google.protobuf.message import Message as Body
from structlog.contextvars import bound_contextvars

from gallery.events.topics import Topic
from gallery.ports.bus import Bus, Message, Subscription
from gallery.runtime import dead_letters, metrics
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.delivery import Delivery, parse
from gallery.runtime.errors import (
    AlreadyHandledError,
    ConsumerStoppedError,
    MalformedMessageError,
    ParkedBehindError,
)
from gallery.runtime.lanes import Lanes
from gallery.runtime.logs import get_logger
from gallery.runtime.retry import RetryPolicy, Verdict, outlast
from gallery.runtime.together import MOST, Together
from gallery.runtime.tracing import SpanKind, span

__all__ = ["AlreadyHandledError", "Consumer", "ConsumerStoppedError", "Delivery", "Handler"]

log = get_logger(__name__)

BATCH = 64
IN_FLIGHT = 256
"""Read ahead so far, so that a key that pauses leaves work for the others."""
POLL_TIMEOUT = timedelta(seconds=1)
REPLAY_EVERY = timedelta(seconds=1)
COMMIT_PAUSE = timedelta(milliseconds=500)
"""Offsets of one pause are committed together; the inbox knows what was handled, so a late offset costs nothing."""
KEYS_AT_ONCE = 4
"""As many as the service's pool has connections; more would only wait for one."""
FAILURES_FLOOR = 20
FAILURES_RATIO = 0.5
"""When more than half of at least twenty messages fail, the fault is ours and not the messages'."""

OUTCOMES = ("handled", "repeated", "skipped", "failed", "dead", "parked")
"""What becomes of a message, or of one attempt at it."""

Handler = Callable[[Delivery, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Item:
    """A message from the bus, or from the dead letters."""

    message: Message
    replayed: bool

    @property
    def key(self) -> str:
        return self.message.key

    @property
    def age(self) -> float:
        """Seconds since the fact was written."""
        return max(0.0, (datetime.now(UTC) - self.message.at).total_seconds())


class Consumer:
    """Feeds one subscription to handlers by type; a type without a handler is skipped and counted."""

    def __init__(
        self,
        *,
        name: str,
        bus: Bus,
        database: Database,
        topics: Sequence[Topic],
        handlers: Mapping[type[Body], Handler],
        policy: RetryPolicy | None = None,
    ) -> None:
        self.name = name
        self.skipped = 0
        self._bus = bus
        self._database = database
        self._topics = topics
        self._handlers = {body.DESCRIPTOR.full_name: (body, handler) for body, handler in handlers.items()}
        self._policy = policy or RetryPolicy()
        self._lanes = MOST if any(isinstance(handler, Together) for handler in handlers.values()) else KEYS_AT_ONCE
        self._alone = asyncio.Semaphore(KEYS_AT_ONCE)
        self._parked: set[str] = set()
        self._outcomes: deque[bool] = deque(maxlen=100)
        for outcome in OUTCOMES:
            self._count(outcome, 0)  # a series that begins with its first dead letter does not grow by it

    async def run(self) -> None:
        """Consume until cancelled; a server that goes away is waited for.

        Raises:
            ConsumerStoppedError: Most messages fail.
        """
        with metrics.sampled(self._sample_letters):
            await outlast(self._consume, what=f"subscription {self.name}", policy=self._policy)

    async def _consume(self) -> None:
        self._parked = set()
        lanes = Lanes[_Item](self._settle)
        topics = [str(topic) for topic in self._topics]
        async with (
            self._bus.subscribe(self.name, topics) as subscription,
            background(
                feed=self._feed(subscription, lanes),
                replay=self._replay(lanes),
                commit=self._commit(subscription, lanes),
                **{f"lane{number}": lanes.work() for number in range(self._lanes)},
            ),
        ):
            with metrics.sampled(partial(self._sample_lag, lanes)):
                await asyncio.Event().wait()

    async def _feed(self, subscription: Subscription, lanes: Lanes[_Item]) -> None:
        known = None
        while True:
            await lanes.room(IN_FLIGHT)
            messages = await subscription.poll(limit=BATCH, timeout=POLL_TIMEOUT)
            if messages and known != subscription.generation:
                known = subscription.generation
                self._parked |= await dead_letters.parked_keys(self._database, self.name)
            lanes.add(_Item(message, replayed=False) for message in messages)

    async def _replay(self, lanes: Lanes[_Item]) -> None:
        """Handle again what somebody asked to have replayed, each key in its order."""
        begun: set[Any] = set()
        while True:
            messages = await dead_letters.replaying(self._database, self.name, limit=BATCH)
            lanes.add(_Item(message, replayed=True) for message in messages if message.id not in begun)
            begun = {message.id for message in messages}
            await asyncio.sleep(REPLAY_EVERY.total_seconds())

    async def _commit(self, subscription: Subscription, lanes: Lanes[_Item]) -> None:
        while True:
            settled = await lanes.settled()
            await subscription.commit([item.message for item in settled if not item.replayed])
            await asyncio.sleep(COMMIT_PAUSE.total_seconds())

    async def _settle(self, item: _Item, attempt: int) -> timedelta | None:
        message = item.message
        named = {"event_id": str(message.id), "library_id": str(message.library_id), "type": message.type}
        handling = span(f"process {message.topic}", parent=message.traceparent, kind=SpanKind.CONSUMER)
        with bound_contextvars(key=message.key, **named), handling as traced:
            traced.attributes |= {"subscription": self.name, **named}
            if item.replayed:
                if not await dead_letters.is_replaying(self._database, self.name, message):
                    return None  # one before it failed again, so it rests
            elif message.key in self._parked and await self._join(message):
                return None
            return await self._try(item, attempt)

    async def _try(self, item: _Item, attempt: int) -> timedelta | None:
        try:
            async with self._room(item.message, attempt), asyncio.timeout(self._policy.longest_attempt.total_seconds()):
                outcome = await self._handle(item.message, attempt)
        except Exception as error:  # noqa: BLE001  # whatever a handler raises is judged by the policy, which keeps it
            verdict = self._policy.decide(error, attempt=attempt)
            if verdict is Verdict.AGAIN:
                log.info("attempt failed, trying again", attempt=attempt, error=repr(error))
                self._count("failed")
                return self._policy.pause(attempt)
            await self._bury(item, verdict, error)
            self._outcomes.append(False)
            self._refuse_a_flood()
        else:
            self._outcomes.append(True)
            self._count(outcome)
            metrics.MESSAGE_DELAY.labels(self.name).observe(item.age)
            if item.replayed:
                await self._forget(item.message)
        return None

    def _room(self, message: Message, attempt: int) -> AbstractAsyncContextManager[object]:
        """Wait for a place among those that are handled alone; one of a batch needs none of its own."""
        _, handler = self._handlers.get(message.type, (None, None))
        return nullcontext() if isinstance(handler, Together) and attempt == 1 else self._alone

    async def _handle(self, message: Message, attempt: int) -> str:
        """Let the handler for its type deal with a message; returns what became of it."""
        if message.fault:
            raise MalformedMessageError(message.fault)
        known = self._handlers.get(message.type)
        if known is None:
            self.skipped += 1
            return "skipped"
        body_type, handler = known
        delivery = Delivery(message, subscription=self.name, database=self._database, attempt=attempt)
        try:
            with metrics.HANDLER_TIME.labels(self.name, message.type).time():
                await handler(delivery, parse(message, body_type))
        except AlreadyHandledError:
            log.debug("handled before")
            return "repeated"
        return "handled"

    async def _bury(self, item: _Item, verdict: Verdict, error: Exception) -> None:
        log.error("message given up", verdict=verdict.value, error=repr(error))
        letter = dead_letters.Letter(message=item.message, subscription=self.name, verdict=verdict, error=error)
        async with self._database.transaction() as tx:
            await dead_letters.bury(tx, letter, again=item.replayed)
        self._count(verdict.value)
        if verdict is Verdict.PARKED:
            self._parked.add(item.key)

    async def _join(self, message: Message) -> bool:
        """Park a message behind those of its key; False when another member has handled them all meanwhile."""
        error = ParkedBehindError("follows a parked message of its key")
        letter = dead_letters.Letter(message=message, subscription=self.name, verdict=Verdict.PARKED, error=error)
        async with self._database.transaction() as tx:
            joined = await dead_letters.join(tx, letter)
        if joined:
            log.warning("message parked behind others of its key")
            self._count(Verdict.PARKED.value)
        else:
            self._parked.discard(message.key)
        return joined

    async def _forget(self, message: Message) -> None:
        async with self._database.transaction() as tx:
            still_parked = await dead_letters.forget(tx, message, subscription=self.name)
        if not still_parked:
            self._parked.discard(message.key)

    def _count(self, outcome: str, messages: int = 1) -> None:
        metrics.MESSAGES.labels(self.name, outcome).inc(messages)

    async def _sample_lag(self, lanes: Lanes[_Item]) -> list[metrics.Sample]:
        return [metrics.CONSUMER_LAG.at(max((item.age for item in lanes.heads()), default=0.0), self.name)]

    async def _sample_letters(self) -> list[metrics.Sample]:
        letters = await dead_letters.counts(self._database, self.name)
        return [metrics.DEAD_LETTERS.at(number, self.name, state) for state, number in letters.items()]

    def _refuse_a_flood(self) -> None:
        failures = self._outcomes.count(False)
        if failures >= FAILURES_FLOOR and failures > FAILURES_RATIO * len(self._outcomes):
            raise ConsumerStoppedError(f"{failures} of the last {len(self._outcomes)} messages of {self.name} failed")
