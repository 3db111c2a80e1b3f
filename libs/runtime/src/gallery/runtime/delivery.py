"""One message on its way through a handler, and what makes a message one that can be handled."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

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
        try:
            held = {self.message.key, *keys}
            seen = {"subscription": self._subscription, "event_id": self.message.id, "at": self.message.at}
            async with self._database.transaction(keys=held, first=queries.remember_event, params=seen) as tx:
                if await tx.opening.fetchone() is None:
                    raise AlreadyHandledError("this event was handled before")
                yield tx
        except errors.CheckViolation as error:
            if error.diag.table_name != "inbox":
                raise
            await partitions.make_day(self._database, "inbox", self.message.at)
            raise TransientError("the inbox had no partition for the day of this event") from error


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
