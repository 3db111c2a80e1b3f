"""Facts that could not be handled: kept with their cause, listed, shown, replayed."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gallery.ports.bus import Message
from gallery.runtime.database import Database, Transaction
from gallery.runtime.ids import uuid7
from gallery.runtime.outbox import queries
from gallery.runtime.retry import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message that was given up, and why."""

    message: Message
    subscription: str
    verdict: Verdict
    error: Exception


async def bury(tx: Transaction, letter: Letter, *, again: bool) -> None:
    """Keep a message that was given up, dead alone or parked with its key; ``again`` when it came from here."""
    row = _row(letter)
    if not again:
        await tx.execute(queries.bury, row | {"behind": False})
        return
    await tx.execute(queries.bury_again, row)
    if letter.verdict is Verdict.PARKED:
        await tx.execute(queries.rest, row)


async def join(tx: Transaction, letter: Letter) -> bool:
    """Park a message behind others of its key; False, and nothing is done, when none is parked any more."""
    cursor = await tx.execute(queries.bury, _row(letter) | {"behind": True})
    return await cursor.fetchone() is not None


def _row(letter: Letter) -> dict[str, Any]:
    message = letter.message
    return {
        "id": uuid7(),
        "subscription": letter.subscription,
        "event_id": message.id,
        "topic": message.topic,
        "type": message.type,
        "key": message.key,
        "library_id": message.library_id,
        "revision": message.revision,
        "event_at": message.at,
        "traceparent": message.traceparent,
        "data": message.data,
        "state": letter.verdict.value,
        "cause": f"{type(letter.error).__name__}: {letter.error}",
        "traceback": "".join(traceback.format_exception(letter.error)),
    }


async def parked_keys(database: Database, subscription: str) -> set[str]:
    """Keys whose newer messages join those that wait here."""
    async with database.read() as connection:
        cursor = await connection.execute(queries.parked_keys, {"subscription": subscription})
        return {row["key"] for row in await cursor.fetchall()}


async def replaying(database: Database, subscription: str, *, limit: int) -> list[Message]:
    """What is to be handled again, oldest first, under new ids."""
    async with database.read() as connection:
        cursor = await connection.execute(queries.replaying, {"subscription": subscription, "limit": limit})
        return [_message(row) for row in await cursor.fetchall()]


async def is_replaying(database: Database, subscription: str, message: Message) -> bool:
    """Whether a message that was to be handled again still is."""
    async with database.read() as connection:
        asked = {"subscription": subscription, "replay_id": message.id}
        return await (await connection.execute(queries.is_replaying, asked)).fetchone() is not None


async def forget(tx: Transaction, message: Message, *, subscription: str) -> bool:
    """Strike off what was replayed; returns whether its key is still parked."""
    replayed = {"subscription": subscription, "replay_id": message.id, "key": message.key}
    await tx.execute(queries.forget_dead_letter, replayed)
    return await (await tx.execute(queries.is_parked, replayed)).fetchone() is not None


async def listing(database: Database, *, limit: int = 500) -> list[dict[str, Any]]:
    """The oldest dead letters, without their payload."""
    async with database.read() as connection:
        cursor = await connection.execute(queries.list_dead_letters, {"limit": limit})
        return await cursor.fetchall()


async def counts(database: Database, subscription: str) -> dict[str, int]:
    """How many of a subscription's letters are in each state."""
    async with database.read() as connection:
        cursor = await connection.execute(queries.count_dead_letters, {"subscription": subscription})
        return {row["state"]: row["letters"] for row in await cursor.fetchall()}


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


def _message(row: Mapping[str, Any]) -> Message:
    return Message(
        id=row["replay_id"],
        topic=row["topic"],
        type=row["type"],
        key=row["key"],
        library_id=row["library_id"],
        revision=row["revision"],
        at=row["replay_at"],
        data=row["data"],
        traceparent=row["traceparent"],
    )
