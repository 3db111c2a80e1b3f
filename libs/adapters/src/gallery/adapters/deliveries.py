"""What every bus does alike: keep the order of keys, and commit without leaving a hole."""

import random
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar
from uuid import UUID

from gallery.ports.bus import Message

Place = TypeVar("Place")


class Progress(Generic[Place]):
    """How far one topic has been handed out, and up to which place all of it is committed."""

    def __init__(self) -> None:
        self._flight: deque[tuple[UUID, Place]] = deque()
        self._open: set[UUID] = set()

    @property
    def in_flight(self) -> bool:
        """Whether anything that was handed out is not committed."""
        return bool(self._open)

    def hand_out(self, event_id: UUID, place: Place) -> bool:
        """Note a message, in the order of places; False when it is on its way already: it goes out only once."""
        new = event_id not in self._open
        self._open.add(event_id)
        self._flight.append((event_id, place))
        return new

    def commit(self, event_ids: Collection[UUID]) -> Place | None:
        """Note messages as done; returns the place up to which there is no hole, None when that has not moved."""
        self._open.difference_update(event_ids)
        reached = None
        while self._flight and self._flight[0][0] not in self._open:
            reached = self._flight.popleft()[1]
        return reached


def shuffled(messages: Sequence[Message], randomness: random.Random | None) -> list[Message]:
    """Mix the order between keys, never within one; None leaves it as it is."""
    if randomness is None:
        return list(messages)
    by_key: dict[str, list[Message]] = defaultdict(list)
    for message in reversed(messages):
        by_key[message.key].append(message)
    slots = [message.key for message in messages]
    randomness.shuffle(slots)
    return [by_key[key].pop() for key in slots]
