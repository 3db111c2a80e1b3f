"""How facts reach those who need them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Message:
    """One fact in transit: identity in the headers, content in ``data``.

    Attributes:
        id: Of the event; the same at every redelivery.
        topic: Catalogue name, such as ``gallery.uploads``.
        type: Full protobuf name, such as ``gallery.events.v1.PhotoUploaded``.
        key: Order holds among messages of one producer, topic and key; nothing more.
        library_id: The tenant.
        revision: Of the aggregate that ``key`` names; grows with every change.
        at: When the fact was written.
        data: Serialized protobuf.
        traceparent: W3C trace context, empty when there is none.
        fault: Why its identity could not be read, with the place where it lies; empty for every sound message.
    """

    id: UUID
    topic: str
    type: str
    key: str
    library_id: UUID
    revision: int
    at: datetime
    data: bytes
    traceparent: str = ""
    fault: str = ""


class Subscription(Protocol):
    """One member's place in its topics; others of the same name may share them, each key with one of them at a time.

    Attributes:
        generation: Another number whenever keys may have come from another member: what was remembered of keys is to be
            asked for again.
    """

    @property
    def generation(self) -> int:
        """See the class."""
        ...

    async def poll(self, *, limit: int, timeout: timedelta) -> Sequence[Message]:
        """Wait for messages, at most ``timeout``; hand out at most ``limit`` of each producer.

        What this object handed out it does not hand out again; what was never committed comes again to the next one.
        """
        ...

    async def commit(self, messages: Sequence[Message]) -> None:
        """Never hand these out again.

        Called after the effects are durable; the messages of one poll may be committed in parts. Those that another
        member has been given meanwhile are passed over.
        """
        ...


class Bus(Protocol):
    """Delivers every fact at least once."""

    def subscribe(self, name: str, topics: Sequence[str]) -> AbstractAsyncContextManager[Subscription]:
        """Open the durable subscription of this name; a new one starts at the oldest fact that is kept."""
        ...
