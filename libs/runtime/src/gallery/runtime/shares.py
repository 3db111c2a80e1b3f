"""How much of a service's work each library gets, and how fast its own is done."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from gallery.runtime.database import Database
from gallery.runtime.leases import CHANNEL, Lane
from gallery.runtime.outbox import queries

HEAVIEST = 10
"""Of a claim's rows, a library's turns in one round are read: they have to be few."""

OVER = timedelta(minutes=5)
"""How far back the pace is measured."""

SHORTEST = timedelta(minutes=1)
"""A pace measured over less would jump."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a library gets.

    Attributes:
        weight: Turns per round of all libraries, 1 to 10.
        paused: Its backfill lane is not worked on.
    """

    weight: int = 1
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How far the work of one lane is.

    Attributes:
        pending: Jobs that are left, those being worked on included.
        per_minute: Jobs finished in a minute, over the last five.
    """

    pending: int
    per_minute: float

    @property
    def left(self) -> timedelta | None:
        """How long the rest takes at this pace; None when nothing moves."""
        if not self.pending:
            return timedelta(0)
        return timedelta(minutes=self.pending / self.per_minute) if self.per_minute else None


class Shares:
    """The shares of libraries in the work of one service."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, library_id: UUID) -> Share:
        """Return what a library gets."""
        async with self._database.read() as connection:
            row = await (await connection.execute(queries.share, {"library_id": library_id})).fetchone()
        return Share(**row) if row else Share()

    async def change(self, library_id: UUID, *, weight: int | None = None, paused: bool | None = None) -> None:
        """Change what is not None. What is being worked on is still finished after a pause."""
        changes = {"library_id": library_id, "weight": weight, "paused": paused}
        async with self._database.transaction() as tx:
            await tx.execute(queries.change_share, changes)
            tx.wake(CHANNEL)

    async def pace(self, library_id: UUID, *, stage: str) -> dict[Lane, Pace]:
        """Return how far each lane is; counts what waits, so it costs more the more that is."""
        asked = {"library_id": library_id, "stage": stage, "over": OVER, "shortest": SHORTEST}
        async with self._database.read() as connection:
            rows = await (await connection.execute(queries.work_pace, asked)).fetchall()
        return {Lane(row["lane"]): Pace(row["pending"], row["per_minute"]) for row in rows}

    async def forget_ended(self) -> None:
        """Drop what the pace needs no more."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.forget_ended_work, {"over": OVER})
