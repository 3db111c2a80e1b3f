"""Photos: what can be asked of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gallery.metadata.catalogue import photo_changed, queries
from gallery.metadata.domain import Stage
from gallery.runtime.database import Database, Transaction
from gallery.runtime.outbox import append

_SLICE = 200
FIRST = UUID(int=0)
LAST = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Place:
    """The last row of a page of the timeline."""

    taken_at: datetime
    photo_id: UUID


TOP = Place(taken_at=datetime.max, photo_id=LAST)  # noqa: DTZ901 - later than any wall clock


class Photos:
    """The catalogue, as others may ask for it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def query(self, library_id: UUID, ids: Sequence[UUID]) -> list[dict[str, Any]]:
        """Give what is known of photos by id, the newest first; those whose upload is not known yet are left out."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.photos_by_id, {"library_id": library_id, "ids": list(ids)})
            rows = await cursor.fetchall()
        return await self._whole(rows)

    async def timeline(self, library_id: UUID, *, below: Place = TOP, limit: int) -> list[dict[str, Any]]:
        """Give a page of photos, the newest first, as whole as ``query`` gives them."""
        page = {"library_id": library_id, "taken_at": below.taken_at, "id": below.photo_id, "limit": limit}
        async with self._database.read() as connection:
            rows = await (await connection.execute(queries.timeline, page)).fetchall()
        return await self.query(library_id, [row["id"] for row in rows])

    async def _whole(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add faces and stages to rows of photos."""
        ids = {"ids": [row["id"] for row in rows]}
        async with self._database.read() as connection:
            faces = _by_photo(await (await connection.execute(queries.faces_by_photo, ids)).fetchall())
            stages = _by_photo(await (await connection.execute(queries.stages_by_photo, ids)).fetchall())
        return [row | {"faces": faces[row["id"]], "stages": stages[row["id"]]} for row in rows]

    async def faces(self, library_id: UUID, *, after: UUID = FIRST, limit: int) -> list[dict[str, Any]]:
        """Give a page of faces in the order of their ids."""
        page = {"library_id": library_id, "after": after, "limit": limit}
        async with self._database.read() as connection:
            return await (await connection.execute(queries.faces_page, page)).fetchall()

    async def progress(self, library_id: UUID, ids: Sequence[UUID]) -> dict[str, Any]:
        """Count photos ``pending`` (those not heard of included), ``done`` and ``failed``, and name those ``rejected``.

        A photo has ended when all of its stages have; rejected when one stage was, else failed when one was.
        """
        asked = {"library_id": library_id, "ids": list(ids), "stages": list(Stage)}
        async with self._database.read() as connection:
            rows = await (await connection.execute(queries.progress, asked)).fetchall()
            ended = [row for row in rows if not row["pending"]]
            asked["ids"] = [row["photo_id"] for row in ended if row["rejected"]]
            rejected = await (await connection.execute(queries.rejections_of, asked)).fetchall()
        failed = sum(row["failed"] and not row["rejected"] for row in ended)
        return {
            "pending": len(set(ids)) - len(ended),
            "done": len(ended) - failed - len(rejected),
            "failed": failed,
            "rejected": rejected,
        }

    async def say_again(self, library_id: UUID) -> int:
        """Tell of every photo as it is now, for those who fell behind; returns how many."""
        told, after = 0, FIRST
        while ids := await self._next_ids(library_id, after):
            async with self._database.transaction(keys=map(str, ids)) as tx:
                told += await say_photos_again(tx, library_id, ids)
            after = ids[-1]
        return told

    async def _next_ids(self, library_id: UUID, after: UUID) -> list[UUID]:
        page = {"library_id": library_id, "after": after, "limit": _SLICE}
        async with self._database.read() as connection:
            return [row["id"] for row in await (await connection.execute(queries.next_photos, page)).fetchall()]


async def say_photos_again(tx: Transaction, library_id: UUID, ids: Sequence[UUID]) -> int:
    """Tell of photos at their present revision; the transaction holds their keys."""
    cursor = await tx.execute(queries.photos_by_id, {"library_id": library_id, "ids": list(ids)})
    rows = await cursor.fetchall()
    await append(tx, *(photo_changed(library_id, row["id"], revision=row["revision"]) for row in rows))
    return len(rows)


def _by_photo(rows: Sequence[Mapping[str, Any]]) -> dict[UUID, list[Mapping[str, Any]]]:
    found: dict[UUID, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["photo_id"]].append(row)
    return found
