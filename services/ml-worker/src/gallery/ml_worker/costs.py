"""What the backfill of a library has cost so far: measured for each photo, kept in the transaction of its results.

Work that is done twice, because a process died, has cost twice and is counted once: what was lost told nobody.
"""

import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from gallery.runtime.database import Database, Transaction
from gallery.runtime.leases import Lane, Leased
from gallery.runtime.sql import Queries

queries = Queries.load("gallery.ml_worker")

OVER_AFTER = timedelta(hours=1)
"""What is asked for so long after the last photo of a backfill had ended is another one. A pause ends none: what waits
was asked for before."""


@dataclass(frozen=True, slots=True)
class Spent:
    """On one photo.

    Attributes:
        cpu_seconds: Of the processor, decoder and models.
        original_bytes: Of the file.
        derived_bytes: Of the pictures made of it.
    """

    cpu_seconds: float
    original_bytes: int
    derived_bytes: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a backfill, up to now.

    Attributes:
        since: When its first photo was asked for; None when there was never one.
        photos: That were looked at.
    """

    since: datetime | None = None
    photos: int = 0
    cpu_seconds: float = 0.0
    original_bytes: int = 0
    derived_bytes: int = 0


class Costs:
    """The costs of libraries' backfills."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, library_id: UUID) -> Cost:
        """Return what a library's newest backfill has cost."""
        async with self._database.read() as connection:
            row = await (await connection.execute(queries.cost, {"library_id": library_id})).fetchone()
        return Cost(**row) if row else Cost()


async def note(tx: Transaction, leased: Leased, spent: Spent) -> None:
    """Add a photo, if it belongs to a backfill. Locks the library's row: the last thing that a transaction does."""
    if leased.job.lane is not Lane.BACKFILL:
        return
    library = {"library_id": leased.job.library_id, "asked_at": leased.asked_at, "over_after": OVER_AFTER}
    await tx.execute(queries.begin_anew, library)
    await tx.execute(queries.spend, library | asdict(spent))


class CpuMeter:
    """Processor time of this process, handed out piece by piece."""

    def __init__(self) -> None:
        self._at = time.process_time()

    def restart(self) -> None:
        """Forget what was used for nothing."""
        self._at = time.process_time()

    def take(self) -> float:
        """Return the seconds since the last time."""
        before, self._at = self._at, time.process_time()
        return self._at - before
