"""Photos: what facts do to them, and what can be asked of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gallery.metadata.catalogue import changing, photo_changed, queries
from gallery.metadata.domain import Outcome, Proposal, Stage, State
from gallery.metadata.headers import Headers
from gallery.metadata.ports import Uploads
from gallery.runtime.consumer import Delivery
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


PROPOSED = 1
"""Revision of the stage of people when somebody is proposed: any later analysis that finds no faces is newer."""

TOP = Place(taken_at=datetime.max, photo_id=LAST)  # noqa: DTZ901 - later than any wall clock


class Photos:
    """The use cases around photos of all libraries."""

    def __init__(self, *, database: Database, uploads: Uploads, headers: Headers) -> None:
        self._database = database
        self._uploads = uploads
        self._headers = headers

    async def describe(self, delivery: Delivery, photo_id: UUID, *, blob_key: str) -> None:
        """A photo is accepted: ask for its name, read its header, and put it into the catalogue.

        Said again of a photo that has been described, this changes nothing.
        """
        library_id, revision = delivery.message.library_id, delivery.message.revision
        if await self._described(photo_id, blob_key):
            return
        original = await self._uploads.original(library_id, photo_id)
        described = await self._headers.describe(original)
        async with delivery.transaction() as tx, changing(tx, library_id, photo_id) as photo:
            await photo.describe(original, described, revision=revision)

    async def note_analysis(
        self, delivery: Delivery, photo_id: UUID, outcomes: Sequence[Outcome], *, size: tuple[int, int]
    ) -> None:
        """Stages of a photo came to an end."""
        message = delivery.message
        async with delivery.transaction() as tx, changing(tx, message.library_id, photo_id) as photo:
            await photo.resize(*size)
            await photo.end(outcomes, revision=message.revision)

    async def note_proposals(
        self, delivery: Delivery, photo_id: UUID, proposals: Sequence[Proposal], *, known_revision: int
    ) -> None:
        """The machine has an opinion on who the faces of a photo are."""
        message = delivery.message
        async with delivery.transaction() as tx, changing(tx, message.library_id, photo_id) as photo:
            await photo.propose(proposals, revision=message.revision, known_revision=known_revision)
            await photo.end([Outcome(Stage.PEOPLE, State.DONE)], revision=PROPOSED)

    async def note_indexed(self, delivery: Delivery, photo_id: UUID, *, revision: int) -> None:
        """The index has a photo as it was at this revision of the catalogue."""
        async with delivery.transaction() as tx, changing(tx, delivery.message.library_id, photo_id) as photo:
            await photo.note_indexed(revision)

    async def _described(self, photo_id: UUID, blob_key: str) -> bool:
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.described_already, {"id": photo_id, "blob_key": blob_key})
            row = await cursor.fetchone()
            return bool(row and row["described"])

    async def query(self, library_id: UUID, ids: Sequence[UUID]) -> list[dict[str, Any]]:
        """Give what is known of photos by id; those whose upload is not known yet are left out."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.photos_by_id, {"library_id": library_id, "ids": list(ids)})
            rows = await cursor.fetchall()
        return await self._whole(rows)

    async def timeline(self, library_id: UUID, *, below: Place = TOP, limit: int) -> list[dict[str, Any]]:
        """Give a page of photos, the newest first, as whole as ``query`` gives them."""
        page = {"library_id": library_id, "taken_at": below.taken_at, "id": below.photo_id, "limit": limit}
        async with self._database.read() as connection:
            rows = await (await connection.execute(queries.timeline, page)).fetchall()
        return await self._whole(rows)

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
