"""The loop between a bus and the handlers of one service.

In order for each key, several keys at once. An effect, the memory of its event and the facts it causes are one
transaction; offsets are committed after it. A message that cannot be handled ends as a dead letter, never in silence.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from gallery.runtime.logs import get_logger
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Body
from structlog.contextvars import bound_contextvars

from gallery.events.topics import Topic
from gallery.ports.bus import Bus, Message
from gallery.runtime import dead_letters
from gallery.runtime.database import Database, Transaction
from gallery.runtime.errors import GalleryError, PermanentError
from gallery.runtime.outbox import queries, wake_readers
from gallery.runtime.retry import RetryPolicy, Verdict

log = get_logger(__name__)

BATCH = 64
POLL_TIMEOUT = timedelta(seconds=1)
KEYS_AT_ONCE = 4
"""As many as the service's pool has connections; more would only wait for one."""
FAILURES_FLOOR = 20
FAILURES_RATIO = 0.5
"""When more than half of at least twenty messages fail, the fault is ours and not the messages'."""


class AlreadyHandledError(GalleryError):
    """This event's effects are there; the loop counts it as done."""


class MalformedMessageError(PermanentError):
    """The payload is empty or not of the type that its header names."""


class ConsumerStoppedError(GalleryError):
    """Too many messages failed in a row; see the dead letters, mend the cause, start again and replay."""


class Delivery:
    """One message on its way through a handler."""

    def __init__(self, message: Message, *, subscription: str, database: Database) -> None:
        self.message = message
        self._subscription = subscription
        self._database = database

    @asynccontextmanager
    async def transaction(self, *, keys: Iterable[str] = ()) -> AsyncIterator[Transaction]:
        """Begin the one transaction of this delivery; it may publish about the message's key and ``keys``.

        Raises:
            AlreadyHandledError: The event was handled before; nothing may happen again.
        """
        async with self._database.transaction(keys={self.message.key, *keys}) as tx:
            seen = {"subscription": self._subscription, "event_id": self.message.id, "at": self.message.at}
            cursor = await tx.execute(queries.remember_event, seen)
            if await cursor.fetchone() is None:
                raise AlreadyHandledError("this event was handled before")
            yield tx
            await wake_readers(tx)


Handler = Callable[[Delivery, Any], Awaitable[None]]


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
        self._parked: set[str] = set()
        self._outcomes: deque[bool] = deque(maxlen=100)
        self._slots = asyncio.Semaphore(KEYS_AT_ONCE)

    async def run(self) -> None:
        """Consume until cancelled.

        Raises:
            ConsumerStoppedError: Most messages fail.
        """
        await self._load_parked()
        async with self._bus.subscribe(self.name, [str(topic) for topic in self._topics]) as subscription:
            while True:
                await self._replay()
                messages = await subscription.poll(limit=BATCH, timeout=POLL_TIMEOUT)
                if messages:
                    await self._handle_all(messages)
                    await subscription.commit(messages)
                    self._refuse_a_flood()

    async def _handle_all(self, messages: Sequence[Message]) -> None:
        by_key: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            by_key[message.key].append(message)
        async with asyncio.TaskGroup() as group:
            for chain in by_key.values():
                group.create_task(self._handle_chain(chain))

    async def _handle_chain(self, chain: Sequence[Message]) -> None:
        async with self._slots:
            for message in chain:
                with bound_contextvars(
                    event_id=str(message.id), key=message.key, library_id=str(message.library_id), type=message.type
                ):
                    await self._settle(message)

    async def _settle(self, message: Message) -> bool:
        """Handle a message (True) or bury it (False); either way it needs no second delivery."""
        if message.key in self._parked:
            await self._bury(message, Verdict.PARKED, PermanentError("follows a parked message of its key"))
            return False
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._attempt(message)
            except Exception as error:  # noqa: BLE001  # whatever a handler raises is judged by the policy, which keeps it
                verdict = self._policy.decide(error, attempt=attempt)
                if verdict is not Verdict.AGAIN:
                    await self._bury(message, verdict, error)
                    return False
                log.info("attempt failed, trying again", attempt=attempt, error=repr(error))
                await asyncio.sleep(self._policy.pause(attempt).total_seconds())
            else:
                self._outcomes.append(True)
                return True

    async def _attempt(self, message: Message) -> None:
        known = self._handlers.get(message.type)
        if known is None:
            self.skipped += 1
            return
        body_type, handler = known
        delivery = Delivery(message, subscription=self.name, database=self._database)
        try:
            await handler(delivery, _parse(message, body_type))
        except AlreadyHandledError:
            log.debug("handled before")

    async def _bury(self, message: Message, verdict: Verdict, error: Exception) -> None:
        log.error("message given up", verdict=verdict.value, error=repr(error))
        self._outcomes.append(False)
        async with self._database.transaction() as tx:
            await dead_letters.bury(tx, message, subscription=self.name, verdict=verdict, error=error)
        if verdict is Verdict.PARKED:
            self._parked.add(message.key)

    def _refuse_a_flood(self) -> None:
        failures = self._outcomes.count(False)
        if failures >= FAILURES_FLOOR and failures > FAILURES_RATIO * len(self._outcomes):
            raise ConsumerStoppedError(f"{failures} of the last {len(self._outcomes)} messages of {self.name} failed")

    async def _load_parked(self) -> None:
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.parked_keys, {"subscription": self.name})
            self._parked = {row["key"] for row in await cursor.fetchall()}

    async def _replay(self) -> None:
        """Handle what somebody asked to have replayed; the event's id stays, so nothing can happen twice."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.take_replays, {"subscription": self.name, "limit": BATCH})
            messages = [_buried(row) for row in await cursor.fetchall()]
        if not messages:
            return
        await self._load_parked()
        for message in messages:
            if await self._settle(message):
                await self._forget(message)

    async def _forget(self, message: Message) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(queries.forget_dead_letter, {"subscription": self.name, "event_id": message.id})


def _parse(message: Message, body_type: type[Body]) -> Body:
    if not message.data:
        raise MalformedMessageError("the payload is empty")
    body = body_type()
    try:
        body.ParseFromString(message.data)
    except DecodeError as error:
        raise MalformedMessageError(f"the payload is no {message.type}") from error
    return body


def _buried(row: Mapping[str, Any]) -> Message:
    return Message(
        id=row["event_id"],
        topic=row["topic"],
        type=row["type"],
        key=row["key"],
        library_id=row["library_id"],
        revision=row["revision"],
        at=row["event_at"],
        data=row["data"],
        traceparent=row["traceparent"],
    )
