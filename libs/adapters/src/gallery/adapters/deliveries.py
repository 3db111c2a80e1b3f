"""What every bus does alike: keep the order of keys, and commit without leaving a hole."""

import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar
from uuid import UUID

from gallery.ports.bus import Message

Place = TypeVar("Place")


class Progress(Generic[Place]):
    """How far one topic has been handed out, and up to which place all of it is committed."""

    def __init__(self) -> None:
        self._flight: dict[UUID, Place] = {}
        self._done: set[UUID] = set()

    def hand_out(self, event_id: UUID, place: Place) -> None:
        """Note a message as on its way; called in the order of places."""
        self._flight[event_id] = place

    def commit(self, event_ids: Collection[UUID]) -> Place | None:
        """Note messages as done; returns the place up to which there is no hole, None when that has not moved."""
        self._done |= self._flight.keys() & event_ids
        reached = None
        for event_id in list(self._flight):
            if event_id not in self._done:
                break
            reached = self._flight.pop(event_id)
            self._done.discard(event_id)
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
