"""The ledger: how far every photo's stages are, and whether the counts hold."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from gallery.metadata.catalogue import queries
from gallery.metadata.domain import Stage, State
from gallery.metadata.photos import FIRST, say_photos_again
from gallery.runtime import metrics
from gallery.runtime.database import Database, Transaction
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

# What can be put right in one go of reconciliation; the next goes on.
_SLICE = 500
_SHOWN_REJECTIONS = 100


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was found, and what was done about it.

    Attributes:
        photos: In the library.
        miscounted: Counts that differed from the rows; they are right now.
        incomplete: Photos that lacked the row of a stage; they have it now, pending.
        said_again: Photos whose index entry was overdue; their change was told again.
        stuck: Per stage, photos that wait for another service for too long: that one must say its facts again.
    """

    photos: int
    miscounted: int
    incomplete: int
    said_again: int
    stuck: Mapping[str, Sequence[UUID]]

    @property
    def findings(self) -> int:
        """What was missing or wrong here. Waiting is neither."""
        return self.miscounted + self.incomplete


class Ledger:
    """The use cases around the ledger of all libraries."""

    def __init__(self, *, database: Database, stuck_after: timedelta) -> None:
        self._database = database
        self._stuck_after = stuck_after

    async def summary(self, library_id: UUID) -> dict[str, Any]:
        """Sum up a library at a cost that does not grow with it.

        ``consistent``: for every stage the four states add up to the photos, and the last reconciliation found nothing.
        """
        asked = {"library_id": library_id}
        async with self._database.read() as connection:
            library = await (await connection.execute(queries.library, asked)).fetchone()
            counts = await (await connection.execute(queries.ledger_counts, asked)).fetchall()
            oldest = await (await connection.execute(queries.oldest_pending, asked)).fetchone()
        photos = library["photos"] if library else 0
        stages = _table(counts)
        sums = {sum(states.values()) for states in stages.values()}
        return {
            "photos": photos,
            "stages": stages,
            "consistent": sums == {photos} and not (library and library["findings"]),
            "oldest_pending_seconds": oldest["seconds"] if oldest else None,
            "rejected": await self.rejected(library_id, limit=_SHOWN_REJECTIONS),
        }

    async def sample(self) -> list[metrics.Sample]:
        """Where the gauges of the ledger stand."""
        async with self._database.read() as connection:
            rows = await (await connection.execute(queries.counts_of_all)).fetchall()
        stages = _table(rows).items()
        return [metrics.LEDGER.at(photos, stage, state) for stage, states in stages for state, photos in states.items()]

    async def rejected(self, library_id: UUID, *, after: UUID = FIRST, limit: int) -> list[dict[str, Any]]:
        """Give a page of photos that have a rejected stage, with the first such stage and its reason."""
        page = {"library_id": library_id, "after": after, "limit": limit, "stages": list(Stage)}
        async with self._database.read() as connection:
            return await (await connection.execute(queries.rejected, page)).fetchall()

    async def reconcile_all(self) -> None:
        """Reconcile every library, one after the other."""
        async with self._database.read() as connection:
            libraries = await (await connection.execute(queries.libraries)).fetchall()
        for library in libraries:
            found = await self.reconcile(library["library_id"])
            log.info(
                "ledger reconciled",
                library_id=str(library["library_id"]),
                findings=found.findings,
                said_again=found.said_again,
                stuck={stage: len(ids) for stage, ids in found.stuck.items()},
            )

    async def reconcile(self, library_id: UUID) -> Reconciliation:
        """Count anew, complete what lacks rows, ask again for what is stuck."""
        async with self._database.transaction() as tx:
            found = await self._put_right(tx, library_id)
        stuck = await self._stuck(library_id)
        overdue = stuck.pop(Stage.INDEXED, [])
        if overdue:
            async with self._database.transaction(keys=map(str, overdue)) as tx:
                await say_photos_again(tx, library_id, overdue)
        result = Reconciliation(
            photos=found["photos"],
            miscounted=found["miscounted"],
            incomplete=found["incomplete"],
            said_again=len(overdue),
            stuck=stuck,
        )
        async with self._database.transaction() as tx:
            await tx.execute(queries.note_findings, {"library_id": library_id, "findings": result.findings})
        return result

    async def _put_right(self, tx: Transaction, library_id: UUID) -> dict[str, int]:
        """Under the library's lock, so that nobody counts meanwhile."""
        asked: dict[str, Any] = {"library_id": library_id, "stages": len(Stage), "limit": _SLICE}
        library = await (await tx.execute(queries.lock_library, asked)).fetchone()
        if library is None:
            return {"photos": 0, "miscounted": 0, "incomplete": 0}
        lacking = [row["id"] for row in await (await tx.execute(queries.incomplete_ledgers, asked)).fetchall()]
        added = {"library_id": library_id, "ids": lacking, "stages": list(Stage)}
        await tx.execute(queries.add_missing_stages, added)
        photos = await _number(tx, queries.count_photos, asked)
        unassigned = await _number(tx, queries.count_unassigned, asked)
        miscounted = int(photos != library["photos"]) + int(unassigned != library["unassigned_faces"])
        miscounted += await _recount(tx, library_id)
        counted = {"library_id": library_id, "photos": photos, "unassigned_faces": unassigned}
        await tx.execute(queries.write_library_counts, counted)
        return {"photos": photos, "miscounted": miscounted, "incomplete": len(lacking)}

    async def _stuck(self, library_id: UUID) -> dict[str, list[UUID]]:
        asked = {"library_id": library_id, "after": self._stuck_after, "limit": _SLICE}
        async with self._database.read() as connection:
            rows = await (await connection.execute(queries.stuck, asked)).fetchall()
        found: dict[str, list[UUID]] = {}
        for row in rows:
            # A photo that was never described has nothing to be indexed: its description is what is stuck.
            if row["stage"] != Stage.INDEXED or row["described"]:
                found.setdefault(row["stage"], []).append(row["photo_id"])
        return found


async def _recount(tx: Transaction, library_id: UUID) -> int:
    """Compare the kept counts with the rows and write the truth; returns how many differed."""
    asked = {"library_id": library_id}
    kept = _flat(await (await tx.execute(queries.ledger_counts, asked)).fetchall())
    true = _flat(await (await tx.execute(queries.count_ledger, asked)).fetchall())
    wrong = [key for key in kept.keys() | true.keys() if kept[key] != true[key]]
    if wrong:
        truth = {
            "library_id": library_id,
            "stages": [stage for stage, _ in wrong],
            "states": [state for _, state in wrong],
            "photos": [true[key] for key in wrong],
        }
        await tx.execute(queries.write_counts, truth)
    return len(wrong)


async def _number(tx: Transaction, query: Any, asked: Mapping[str, Any]) -> int:
    row = await (await tx.execute(query, asked)).fetchone()
    return int(next(iter(row.values()))) if row else 0


def _flat(rows: Sequence[DictRow]) -> Counter[tuple[str, str]]:
    return Counter({(row["stage"], row["state"]): row["photos"] for row in rows})


def _table(rows: Sequence[DictRow]) -> dict[str, dict[str, int]]:
    counts = _flat(rows)
    return {stage: {state: counts[stage, state] for state in State} for stage in Stage}
