"""Work as rows, claimed in batches under leases.

A claim commits the attempt before the work begins, so a process that dies has used one. The fence tells a
holder whose lease ran out that the work is another's by now.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import product
from typing import Any
from uuid import UUID

from gallery.runtime import metrics
from gallery.runtime.database import Database, Transaction
from gallery.runtime.errors import LeaseLostError
from gallery.runtime.outbox import queries
from gallery.runtime.tracing import traceparent

__all__ = ["Job", "Lane", "LeaseLostError", "Leased", "WorkQueue"]

CHANNEL = "gallery_work"
POLL_EVERY = timedelta(seconds=1)
"""New work is announced; what waits for its time, or for another's lease to run out, is looked for so often."""


class Lane(StrEnum):
    """Which queue work joins."""

    INTERACTIVE = "interactive"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do; the same subject and stage twice is one job."""

    library_id: UUID
    subject: UUID
    stage: str
    lane: Lane


@dataclass(frozen=True, slots=True)
class Leased:
    """A job in our hands.

    Attributes:
        asked: How often it had been asked for when it was claimed.
        attempt: Counts from 1.
        fence: Grows with every claim of anything.
        asked_at: When it was asked for first.
        traceparent: W3C trace context of what asked for it last, empty when there is none.
    """

    id: int
    job: Job
    asked: int
    attempt: int
    fence: int
    asked_at: datetime
    traceparent: str = ""

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for it."""
        return self.job.lane is Lane.INTERACTIVE


class WorkQueue:
    """The work of one service, in its own schema."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tx: Transaction, jobs: Sequence[Job]) -> None:
        """Ask for work when this transaction commits."""
        trace = {"traceparent": traceparent()}
        await tx.executemany(
            queries.add_work,
            [
                {"library_id": job.library_id, "subject": job.subject, "stage": job.stage, "lane": job.lane, **trace}
                for job in sorted(jobs, key=lambda job: (job.subject, job.stage))  # one order: nobody deadlocks
            ],
        )
        tx.wake(CHANNEL)

    async def claim(
        self,
        *,
        stages: Sequence[str],
        limit: int,
        lease: timedelta,
        lanes: Iterable[Lane] = Lane,
        pausable: bool = True,
    ) -> Sequence[Leased]:
        """Take at most ``limit`` jobs, fairly over libraries and lanes; none when there is nothing ready.

        Args:
            stages: Kinds of work that the caller can do.
            limit: How many at most.
            lease: How long they are the caller's.
            lanes: Queues to take from.
            pausable: Whether to leave the backfill of libraries that are paused.
        """
        asked = {"stages": list(stages), "lanes": list(lanes), "limit": limit, "lease": lease, "pausable": pausable}
        async with self._database.transaction() as tx:
            cursor = await tx.execute(queries.claim_work, asked)
            return [_leased(row) for row in await cursor.fetchall()]

    async def finish(self, tx: Transaction, leased: Leased) -> None:
        """Strike a job off together with its results.

        Raises:
            LeaseLostError: It was claimed again meanwhile.
        """
        held = {"id": leased.id, "fence": leased.fence, "asked": leased.asked}
        cursor = await tx.execute(queries.finish_work, held)
        if await cursor.fetchone() is None:
            raise LeaseLostError(f"the lease of a {leased.job.stage} job ran out")

    async def retry_later(self, leased: Leased, *, after: timedelta) -> None:
        """Let it be claimed again after a while; this attempt counts."""
        await self._release(leased, after=after, uncounted=0)

    async def give_back(self, leased: Leased, *, after: timedelta = timedelta(0)) -> None:
        """Let it be claimed again, as if it had not been: for a stop, or when there is no room for any results."""
        await self._release(leased, after=after, uncounted=1)

    async def depth(self) -> list[dict[str, Any]]:
        """Pending jobs and the age of the oldest in seconds, by stage and lane."""
        async with self._database.read() as connection:
            return await (await connection.execute(queries.work_depth)).fetchall()

    async def sample(self, stages: Sequence[str]) -> list[metrics.Sample]:
        """Where the gauges of work stand, also those of lanes with nothing in them."""
        found = {(row["stage"], row["lane"]): (row["pending"], row["oldest_seconds"]) for row in await self.depth()}
        samples = []
        for stage, lane in product(stages, Lane):
            pending, oldest = found.get((stage, lane), (0, 0.0))
            samples += [metrics.WORK_PENDING.at(pending, stage, lane), metrics.WORK_OLDEST.at(oldest, stage, lane)]
        return samples

    async def library_has(self, library_id: UUID, *, stage: str) -> bool:
        """Whether any job of this stage is left in a library, leased ones included, those of a paused lane not."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.library_has_work, {"library_id": library_id, "stage": stage})
            row = await cursor.fetchone()
        return bool(row and row["pending"])

    async def wait(self, *, timeout: timedelta = POLL_EVERY) -> None:
        """Pause until there may be work, at most so long."""
        await self._database.wait(CHANNEL, timeout=timeout)

    async def _release(self, leased: Leased, *, after: timedelta, uncounted: int) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(
                queries.release_work,
                {"id": leased.id, "fence": leased.fence, "after": after, "uncounted": uncounted},
            )
            tx.wake(CHANNEL)


def _leased(row: dict[str, Any]) -> Leased:
    job = Job(library_id=row["library_id"], subject=row["subject"], stage=row["stage"], lane=Lane(row["lane"]))
    named = {name: row[name] for name in ("id", "asked", "attempt", "fence", "asked_at", "traceparent")}
    return Leased(job=job, **named)
