"""Facts that could not be handled: kept with their cause, listed, shown, replayed."""

import traceback
from typing import Any
from uuid import UUID

from gallery.ports.bus import Message
from gallery.runtime.database import Database, Transaction
from gallery.runtime.ids import uuid7
from gallery.runtime.outbox import queries
from gallery.runtime.retry import Verdict


async def bury(tx: Transaction, message: Message, *, subscription: str, verdict: Verdict, error: Exception) -> None:
    """Keep a message that was given up, dead alone or parked with its key."""
    await tx.execute(
        queries.bury,
        {
            "id": uuid7(),
            "subscription": subscription,
            "event_id": message.id,
            "topic": message.topic,
            "type": message.type,
            "key": message.key,
            "library_id": message.library_id,
            "revision": message.revision,
            "event_at": message.at,
            "traceparent": message.traceparent,
            "data": message.data,
            "state": verdict.value,
            "cause": f"{type(error).__name__}: {error}",
            "traceback": "".join(traceback.format_exception(error)),
        },
    )


async def listing(database: Database, *, limit: int = 500) -> list[dict[str, Any]]:
    """The oldest dead letters, without their payload."""
    async with database.read() as connection:
        cursor = await connection.execute(queries.list_dead_letters, {"limit": limit})
        return await cursor.fetchall()


async def show(database: Database, letter_id: UUID) -> dict[str, Any] | None:
    """One dead letter with payload, cause and traceback; None when there is none of this id."""
    async with database.read() as connection:
        cursor = await connection.execute(queries.show_dead_letter, {"id": letter_id})
        return await cursor.fetchone()


async def replay(database: Database, letter_id: UUID) -> int:
    """Hand it to its consumer again, with all of its key when that is parked; returns how many come again."""
    async with database.transaction() as tx:
        cursor = await tx.execute(queries.replay_dead_letter, {"id": letter_id})
        return len(await cursor.fetchall())
