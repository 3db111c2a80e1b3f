"""The people role: one lease per library, new faces first, the canonical grouping once nothing is left to look at."""

import asyncio
from datetime import timedelta
from uuid import UUID

import psycopg

from gallery.ml_worker.packs import FacePack
from gallery.ml_worker.people.proposing import LEASE, Proposing
from gallery.ml_worker.people.store import PeopleStore, hold, queries
from gallery.ports.vectors import Vectors
from gallery.runtime import metrics
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.leases import Job, Lane, Leased, LeaseLostError, WorkQueue
from gallery.runtime.liveness import step
from gallery.runtime.logs import get_logger
from gallery.runtime.tracing import span

log = get_logger(__name__)

STAGE = "people"
BEFORE = "analyse"
"""While work of this stage is left in a library, more faces are coming and a grouping would be done in vain."""

AFTER_FAILURE = timedelta(seconds=1)
"""Times the number of attempts, but never longer than ``AT_MOST``."""

AT_MOST = timedelta(minutes=1)

WORK_AT_MOST = timedelta(minutes=30)
"""For one library; grouping a hundred thousand faces takes a third of that."""

WHILE_AWAY = timedelta(seconds=1)


class PeopleRole:
    """Claims people work until it is cancelled."""

    def __init__(self, *, database: Database, vectors: Vectors, pack: FacePack) -> None:
        """Keep the parts."""
        self._database = database
        self._queue = WorkQueue(database)
        self._store = PeopleStore(database, pack=pack.name)
        self._proposing = Proposing(database=database, vectors=vectors, queue=self._queue, pack=pack)

    async def run(self) -> None:
        """Work for ever, whatever goes away and comes back."""
        while True:
            try:
                if not await self.step():
                    await self._queue.wait()
            except psycopg.OperationalError:
                log.warning("the database is away, trying again")
                await asyncio.sleep(WHILE_AWAY.total_seconds())

    async def step(self) -> bool:
        """Take one slice of one library's work; false when there was none."""
        # Pausable is what looks at photos: faces that were found are brought to their end.
        claimed = await self._queue.claim(stages=[STAGE], limit=1, lease=LEASE, pausable=False)
        if not claimed:
            return await self._ask_for_groupings()
        with span("group people", parent=claimed[0].traceparent):
            await self._settle(claimed[0])
        return True

    async def _settle(self, leased: Leased) -> None:
        try:
            with step("people", at_most=WORK_AT_MOST):
                async with background(lease=self._keep(leased)):
                    await self._work(leased)
        except asyncio.CancelledError:
            await asyncio.shield(self._queue.give_back(leased))
            raise
        except LeaseLostError:
            log.warning("people work was taken over", library_id=str(leased.job.library_id))
        except Exception:
            log.exception("people work failed, trying again", library_id=str(leased.job.library_id))
            await self._queue.retry_later(leased, after=min(AFTER_FAILURE * leased.attempt, AT_MOST))

    async def _keep(self, leased: Leased) -> None:
        """Lengthen the lease while somebody works under it."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            async with self._database.transaction() as tx:
                await hold(tx, leased, lease=LEASE)

    async def _work(self, leased: Leased) -> None:
        with metrics.PEOPLE_TIME.labels("match").time():
            if await self._proposing.match_new(leased):
                return
        library_id = leased.job.library_id
        if await self._store.outdated(library_id):
            async with self._database.transaction() as tx:
                await tx.execute(queries.note_change, {"library_id": library_id, "decisions_revision": 0})
        if (await self._store.library(library_id)).due and await self._quiet(library_id):
            with metrics.PEOPLE_TIME.labels("group").time():
                changed = await self._proposing.group_all(leased)
            log.info("faces grouped", library_id=str(library_id), changed=changed)
            return
        async with self._database.transaction() as tx:
            await self._queue.finish(tx, leased)

    async def _ask_for_groupings(self) -> bool:
        """Ask for the groupings that are due in libraries with nothing left to look at; false when there are none."""
        due = [library for library in await self._store.libraries_due() if await self._quiet(library)]
        if due:
            async with self._database.transaction() as tx:
                await self._queue.add(tx, [Job(library, library, STAGE, Lane.BACKFILL) for library in due])
        return bool(due)

    async def _quiet(self, library_id: UUID) -> bool:
        return not await self._queue.library_has(library_id, stage=BEFORE)
