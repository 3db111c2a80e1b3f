"""Photos, what was found in them, and the work on them, in Postgres."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from gallery.ml_worker import rows
from gallery.ml_worker.domain import End, Measures, Packs, Photo, Rendition, Seen, State
from gallery.ports.blobs import LATEST_WRITE
from gallery.runtime.connection import Row
from gallery.runtime.database import Database, Transaction
from gallery.runtime.ids import uuid7
from gallery.runtime.leases import CHANNEL, Job, Lane, Leased, LeaseLostError, WorkQueue
from gallery.runtime.shares import Shares
from gallery.runtime.sql import Queries

queries = Queries.load("gallery.ml_worker")

ANALYSE, PEOPLE = "analyse", "people"
PAGE = 500
"""Rows read, or facts said, at a time."""


class PhotoStore:
    """The service's own rows, less those of people."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.queue = WorkQueue(database)
        self.shares = Shares(database)

    async def take_in(self, tx: Transaction, photo: Photo, *, lane: Lane) -> None:
        """Keep a photo that was uploaded and ask for its analysis, unless that has ended."""
        row = await (await tx.execute(queries.take_in, asdict(photo))).fetchone()
        if row and row["state"] == State.PENDING:
            await self.queue.add(tx, [Job(photo.library_id, photo.id, ANALYSE, lane)])

    async def photo(self, photo_id: UUID) -> Photo | None:
        """Return a photo, None when there is none of this id."""
        found = await self._rows(queries.photo, id=photo_id)
        return Photo(**found[0]) if found else None

    async def lengthen(self, held: Collection[Leased], *, lease: timedelta) -> None:
        """Keep leases that are still ours for so long from now."""
        async with self._database.transaction() as tx:
            ids, fences = [leased.id for leased in held], [leased.fence for leased in held]
            await tx.execute(queries.lengthen_leases, {"ids": ids, "fences": fences, "lease": lease})

    async def declare(self, leased: Leased, keys: Sequence[str]) -> None:
        """Say durably that blobs of these keys will be written under this lease."""
        async with self._database.transaction() as tx:
            for key in keys:
                await tx.execute(
                    queries.declare_intent,
                    {"blob_key": key, "photo_id": leased.job.subject, "fence": leased.fence},
                )

    async def abandon(self) -> None:
        """Take over the blobs whose writers hold no lease any more: from now on nothing can refer to them."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.abandon_intents, {"stage": ANALYSE})

    async def abandoned(self, *, after: str = "") -> list[str]:
        """Some keys of blobs that were taken over, sorted, beyond one."""
        found = await self._rows(queries.abandoned_intents, after=after, limit=PAGE)
        return [row["blob_key"] for row in found]

    async def forget(self, keys: Sequence[str]) -> None:
        """There is nothing left of these blobs."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.forget_intents, {"keys": list(keys)})

    async def forget_abandoned(self, keys: Sequence[str]) -> None:
        """There is nothing left of these blobs, and nothing can come any more of those abandoned long ago."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.forget_abandoned_intents, {"keys": list(keys), "after": LATEST_WRITE})

    async def ask_for_outdated(self, packs: Packs) -> None:
        """Ask for the photos that other packs have looked at to be looked at again."""
        async with self._database.transaction() as tx:
            await tx.execute(
                queries.ask_for_outdated, {"stage": ANALYSE, "face_pack": packs.face, "tag_pack": packs.tag}
            )
            tx.wake(CHANNEL)

    async def ask_for_forgotten(self, library_id: UUID) -> None:
        """Ask for pending photos that no work is left for."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.ask_for_forgotten, {"stage": ANALYSE, "library_id": library_id})
            tx.wake(CHANNEL)

    async def described(self, library_id: UUID, ids: Sequence[UUID]) -> list[Row]:
        """Size, state and measures of these photos, as columns."""
        return await self._rows(queries.described, library_id=library_id, ids=list(ids))

    async def faces_of(self, library_id: UUID, photos: Sequence[UUID]) -> list[Row]:
        """Faces in these photos, from left to right, as columns."""
        return await self._rows(queries.faces_of_photos, library_id=library_id, ids=list(photos))

    async def faces(self, library_id: UUID, ids: Sequence[UUID]) -> list[Row]:
        """Return these faces, as far as they are there, as columns."""
        return await self._rows(queries.faces, library_id=library_id, ids=list(ids))

    async def tags_of(self, library_id: UUID, photos: Sequence[UUID]) -> list[Row]:
        """Tags of these photos, the likeliest first, as columns."""
        return await self._rows(queries.tags_of_photos, library_id=library_id, ids=list(photos))

    async def rendition(self, library_id: UUID, photo_id: UUID, kind: str) -> Rendition | None:
        """Return a derived picture, None when there is none (yet)."""
        found = await self._rows(queries.rendition, library_id=library_id, photo_id=photo_id, kind=kind)
        return Rendition(**found[0]) if found else None

    async def renditions(self, library_id: UUID) -> AsyncIterator[Rendition]:
        """All derived pictures of a library; no connection is held between pages."""
        at = {"photo_id": UUID(int=0), "kind": ""}
        while page := await self._rows(queries.renditions_after, library_id=library_id, limit=PAGE, **at):
            for row in page:
                yield Rendition(**row)
            at = {"photo_id": page[-1]["photo_id"], "kind": page[-1]["kind"]}

    async def unknown_keys(self, keys: Sequence[str]) -> list[str]:
        """Which of these blob keys belong to no rendition and to no intent."""
        return [row["key"] for row in await self._rows(queries.unknown_keys, keys=list(keys))]

    async def ended_after(self, library_id: UUID, after: UUID) -> list[tuple[UUID, int, End]]:
        """One page of photos whose analysis ended: id, revision and how."""
        page = {"library_id": library_id, "after": after, "limit": PAGE}
        return [rows.ended(row) for row in await self._rows(queries.ended_after, **page)]

    async def queue_of(self, library_id: UUID) -> list[Row]:
        """Pending jobs of a library by stage and lane."""
        return await self._rows(queries.queue_of_library, library_id=library_id)

    async def _rows(self, query: Any, **parameters: Any) -> list[Row]:
        async with self._database.read() as connection:
            return await (await connection.execute(query, parameters)).fetchall()


async def end(tx: Transaction, photo_id: UUID, ended: End) -> int:
    """Write how the analysis ended; returns the revision of the fact to say."""
    columns = {
        "id": photo_id,
        "state": ended.state,
        "reason": ended.reason,
        "attempts": ended.attempts,
        "face_pack": ended.packs.face,
        "tag_pack": ended.packs.tag,
        "width": ended.width,
        "height": ended.height,
    }
    row = await (await tx.execute(queries.end_analysis, columns)).fetchone()
    return int(row["revision"]) if row else 1


async def put_renditions(tx: Transaction, photo: Photo, renditions: Sequence[Rendition]) -> None:
    """Refer to blobs that were written; what they replace is swept later.

    Raises:
        LeaseLostError: One was swept, since the lease had run out.
    """
    cursor = await tx.execute(queries.fulfil_intents, {"keys": [each.blob_key for each in renditions]})
    if len(await cursor.fetchall()) < len(renditions):
        raise LeaseLostError("the pictures were swept")
    for each in renditions:
        await tx.execute(queries.put_rendition, {**asdict(each), "library_id": photo.library_id})


async def put_measures(tx: Transaction, photo_id: UUID, measures: Measures) -> None:
    """Write what was measured."""
    await tx.execute(queries.put_measures, rows.measures(photo_id, measures))


async def put_faces(tx: Transaction, photo: Photo, seen: Seen, *, pack: str) -> None:
    """Write the faces that were found; where one was before, it keeps its id."""
    former = await (await tx.execute(queries.former_faces, {"photo_id": photo.id})).fetchall()
    ids = rows.inherited([face.box for face in seen.faces], {row["id"]: tuple(row["box"]) for row in former})
    named = [(face_id or uuid7(), face) for face_id, face in zip(ids, seen.faces, strict=True)]
    await tx.execute(queries.drop_faces, {"photo_id": photo.id, "kept": [face_id for face_id, _ in named]})
    await tx.executemany(queries.put_face, [rows.face(face_id, photo, face, pack=pack) for face_id, face in named])


async def put_tags(tx: Transaction, photo: Photo, seen: Seen, *, pack: str) -> None:
    """Write what the photo shows, in words and as a vector."""
    await tx.execute(queries.drop_tags, {"photo_id": photo.id})
    tags: list[Mapping[str, Any]] = [
        {"photo_id": photo.id, "label": tag.label, "score": tag.score, "pack": pack} for tag in seen.tags
    ]
    await tx.executemany(queries.put_tag, tags)
    if seen.image_vector is not None:
        vector = {"photo_id": photo.id, "library_id": photo.library_id, "pack": pack}
        await tx.execute(queries.put_image_vector, {**vector, "vector": rows.packed(seen.image_vector)})
