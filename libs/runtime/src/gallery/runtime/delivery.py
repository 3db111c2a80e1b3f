"""Messages on their way through a handler, and what makes a message one that can be handled."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Body
from psycopg import errors

from gallery.events.topics import TOPIC_OF_TYPE
from gallery.ports.bus import Message
from gallery.runtime import partitions
from gallery.runtime.database import Database, Transaction
from gallery.runtime.errors import AlreadyHandledError, MalformedMessageError, TransientError
from gallery.runtime.outbox import queries


class Delivery:
    """One message on its way through a handler.

    Attributes:
        attempt: Counts from 1.
    """

    def __init__(self, message: Message, *, subscription: str, database: Database, attempt: int = 1) -> None:
        self.message = message
        self.attempt = attempt
        self.subscription = subscription
        self.database = database

    @asynccontextmanager
    async def transaction(self, *, keys: Iterable[str] = ()) -> AsyncIterator[Transaction]:
        """Begin the one transaction of this delivery; it may publish about the message's key and ``keys``.

        Raises:
            AlreadyHandledError: The event was handled before; nothing may happen again.
        """
        async with _remembering([self.message], keys, of=self) as (tx, new):
            if not new:
                raise AlreadyHandledError("this event was handled before")
            yield tx


@dataclass(frozen=True, slots=True)
class Received:
    """A message, and what its payload says."""

    message: Message
    body: Any


class Batch:
    """Messages of one type and of different keys on their way through a handler, together.

    Attributes:
        known: Ids of events that were handled before, once the transaction has begun.
    """

    def __init__(self, received: Sequence[Received], *, of: Delivery) -> None:
        self.known: frozenset[UUID] = frozenset()
        self._received = received
        self._of = of

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[tuple[Transaction, Sequence[Received]]]:
        """Begin the one transaction of these messages, which may publish about their keys; gives those that are new."""
        messages = [each.message for each in self._received]
        async with _remembering(messages, (), of=self._of) as (tx, new):
            self.known = frozenset(message.id for message in messages) - new
            yield tx, [each for each in self._received if each.message.id in new]


@asynccontextmanager
async def _remembering(
    messages: Sequence[Message], keys: Iterable[str], *, of: Delivery
) -> AsyncIterator[tuple[Transaction, frozenset[UUID]]]:
    """Begin a transaction that remembers events; gives the ids of those that nobody had remembered."""
    seen = {
        "subscription": of.subscription,
        "ids": [message.id for message in messages],
        "ats": [message.at for message in messages],
    }
    held = {*(message.key for message in messages), *keys}
    try:
        async with of.database.transaction(keys=held, first=queries.remember_events, params=seen) as tx:
            yield tx, frozenset([row["event_id"] for row in await tx.opening.fetchall()])
    except errors.CheckViolation as error:
        if error.diag.table_name != "inbox":
            raise
        for message in messages:
            await partitions.make_day(of.database, "inbox", message.at)
        raise TransientError("the inbox had no partition for the day of an event") from error


def parse(message: Message, body_type: type[Body]) -> Body:
    """Read a payload as what its header names.

    Raises:
        MalformedMessageError: It is empty, or something else; protobuf alone would pass over much of that.
    """
    if TOPIC_OF_TYPE.get(message.type, message.topic) != message.topic:
        raise MalformedMessageError(f"{message.type} does not belong to {message.topic}")
    body = body_type()
    try:
        body.ParseFromString(message.data)
    except DecodeError as error:
        raise MalformedMessageError(f"the payload is no {message.type}") from error
    if not body.ListFields():
        raise MalformedMessageError(f"nothing in the payload is of a {message.type}")
    return body
