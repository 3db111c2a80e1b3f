"""The audit in Postgres: how far it is, and what it found."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gallery.runtime import metrics
from gallery.runtime.database import Database
from gallery.upload.domain import FAULTS, Fault, FindingKind, Night, Original, Round, Turn
from gallery.upload.store import queries


class PostgresFaults:
    """Originals that were not well when they were last read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, original: Original, kind: FindingKind | None) -> bool:
        """Keep what a reading showed; whether a fault is news."""
        async with self._database.read() as connection:
            if kind is None:
                await connection.execute(queries.forget_fault, {"photo_id": original.photo_id})
                return False
            cursor = await connection.execute(queries.note_fault, {"photo_id": original.photo_id, "kind": kind})
            return await cursor.fetchone() is not None

    async def found(self, library_id: UUID) -> Sequence[Fault]:
        """All of a library, oldest photo first."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.select_faults, {"library_id": library_id})
            return [Fault(**{**row, "kind": FindingKind(row["kind"])}) for row in await cursor.fetchall()]

    async def sample(self) -> list[metrics.Sample]:
        """How many there are, of each kind."""
        async with self._database.read() as connection:
            rows = await (await connection.execute(queries.count_faults)).fetchall()
        found = {row["kind"]: row["number"] for row in rows}
        return [metrics.FAULTS.at(found.get(kind, 0), kind) for kind in FAULTS]


class PostgresAudits:
    """One row, which all processes of the service share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, night: Night, *, budget: int, lease: timedelta) -> Turn | None:
        """Take the next slice; see the port."""
        asked = {"night": night.day, "since": night.since, "budget": budget, "lease": lease}
        async with self._database.transaction() as tx:
            row = await (await tx.execute(queries.take_audit, asked)).fetchone()
        return None if row is None else Turn(**row)

    async def settle(self, turn: Turn, *, after: UUID, size: int, objects: int, ended: bool) -> None:
        """Hand the turn back with what was read; see the port."""
        told = {"began": turn.after, "after": after, "size": size, "objects": objects, "ended": ended}
        await self._write(queries.settle_audit, told)

    async def release(self, turn: Turn) -> None:
        """Hand the turn back with nothing read."""
        await self._write(queries.release_audit, {"began": turn.after})

    async def originals(self, *, after: UUID, limit: int) -> Sequence[Original]:
        """The next originals of all libraries, oldest first."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.select_next, {"after": after, "limit": limit})
            return [Original(**row) for row in await cursor.fetchall()]

    async def round(self) -> Round:
        """How far it is."""
        async with self._database.read() as connection:
            row = await (await connection.execute(queries.select_audit)).fetchone()
        assert row is not None  # noqa: S101  # the migration made it
        return Round(**row)

    async def sample(self) -> list[metrics.Sample]:
        """How long ago the last round ended, or the first one began."""
        found = await self.round()
        age = datetime.now(UTC) - (found.ended_at or found.began_at)
        return [metrics.AUDIT_AGE.at(age.total_seconds())]

    async def _write(self, query: Any, told: dict[str, Any]) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(query, told)
