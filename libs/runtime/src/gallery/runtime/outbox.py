"""Facts, written in the transaction that makes them true.

Readers order by (epoch, transaction id, sequence) and stay below the oldest transaction still running, so they see
no gap; the locks that ``Database.transaction`` takes first make that order the order of commits for each key.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from google.protobuf.message import Message as Body

from gallery.events.topics import Topic
from gallery.runtime.database import Database, Transaction
from gallery.runtime.errors import PermanentError
from gallery.runtime.ids import uuid7
from gallery.runtime.sql import Queries
from gallery.runtime.tracing import traceparent

CHANNEL = "gallery_outbox"
"""Listeners are woken on this channel; polling is the truth, a wake-up only saves waiting."""

queries = Queries.load("gallery.runtime")


class KeyNotLockedError(PermanentError):
    """A fact about a key that the transaction did not lock before its first write: a mistake in the program."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is now true.

    Attributes:
        key: Facts of one key arrive in the order of their commits.
        revision: Of the aggregate that ``key`` names; grows with every change of it.
    """

    topic: Topic
    key: str
    library_id: UUID
    revision: int
    body: Body


async def append(tx: Transaction, *facts: Fact) -> None:
    """Say facts when this transaction commits, in their order and in one round trip.

    Raises:
        KeyNotLockedError: The transaction was not begun with the key of one of them.
    """
    for fact in facts:
        if fact.key not in tx.keys:
            raise KeyNotLockedError(f"the transaction does not hold the key of a {fact.body.DESCRIPTOR.full_name}")
    await tx.executemany(queries.append_fact, [_row(fact) for fact in facts])
    tx.wake(CHANNEL)


def _row(fact: Fact) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "topic": fact.topic,
        "type": fact.body.DESCRIPTOR.full_name,
        "key": fact.key,
        "library_id": fact.library_id,
        "revision": fact.revision,
        "traceparent": traceparent(),
        "data": fact.body.SerializeToString(),
    }


async def begin_epoch_after_restore(database: Database) -> None:
    """Start a new epoch when this database is a restored copy: transaction ids have begun anew."""
    async with database.transaction() as tx:
        await tx.execute(queries.begin_epoch_after_restore)
