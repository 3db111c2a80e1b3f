"""The service's own tables."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from gallery.events.topics import Topic
from gallery.events.v1.search_pb2 import PhotoIndexed
from gallery.runtime import outbox
from gallery.runtime.database import Database, Transaction
from gallery.runtime.outbox import Fact
from gallery.runtime.sql import Queries
from gallery.search.domain import Change, Claim, Composed, Facets, FacetValue, LivePhoto
from gallery.search.vocabulary import name_terms

queries = Queries.load("gallery.search")

ALONE_AFTER = 3
"""Failed takings after which a photo is taken by itself, so that it holds up no other."""

_SLICE = 5000
"""Photos marked in one transaction of a rebuild; it stays far below the limit of five seconds."""


class Store:
    """Pending photos, live rows, and the names of people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note_changed(self, tx: Transaction, changes: Sequence[Change]) -> None:
        """Have different photos indexed again; an older revision than the one noted changes nothing."""
        note = {
            "library_ids": [change.library_id for change in changes],
            "photo_ids": [change.photo_id for change in changes],
            "revisions": [change.revision for change in changes],
        }
        await tx.execute(queries.note_changed, note)

    async def put_person(
        self, tx: Transaction, *, library_id: UUID, person_id: UUID, revision: int, name: str | None
    ) -> None:
        """Keep a name, unless a newer one is there."""
        person = {"library_id": library_id, "person_id": person_id, "revision": revision, "name": name}
        await tx.execute(queries.put_person, {**person, "terms": name_terms(name)})

    async def claim(self, *, limit: int, lease: timedelta, filling: timedelta = timedelta(0)) -> Claim | None:
        """Take what is due, of one library whose oldest change has waited so long."""
        async with self._database.transaction() as tx:
            bounds = {"limit": limit, "lease": lease, "filling": filling, "alone_after": ALONE_AFTER}
            rows = await (await tx.execute(queries.claim, bounds)).fetchall()
        if not rows:
            return None
        return Claim(
            library_id=rows[0]["library_id"],
            number=rows[0]["claim"],
            revisions={row["photo_id"]: row["revision"] for row in rows},
            attempts=max(row["attempts"] for row in rows),
        )

    async def lengthen(self, claim: Claim, *, lease: timedelta) -> None:
        """Keep what is still ours of it for so long from now."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.lengthen, {**_of(claim, list(claim.revisions)), "lease": lease})

    async def give_back(
        self, claim: Claim, photo_ids: Sequence[UUID], *, pause: timedelta, blameless: bool = False
    ) -> None:
        """Have these taken again, after a pause; without blame this was no attempt."""
        given = {**_of(claim, photo_ids), "pause": pause, "blameless": blameless}
        async with self._database.transaction() as tx:
            await tx.execute(queries.give_back, given)

    async def settle(self, claim: Claim, composed: Sequence[Composed], gone: Sequence[UUID]) -> None:
        """Write documents, facts and what is done in one transaction; photos that another has taken are left to it."""
        ids = [each.document.photo_id for each in composed]
        async with self._database.transaction(keys=map(str, ids)) as tx:
            cursor = await tx.execute(queries.still_ours, _of(claim, [*ids, *gone]))
            ours = {row["photo_id"] for row in await cursor.fetchall()}
            kept = [each for each in composed if each.document.photo_id in ours]
            gone = [each for each in gone if each in ours]
            await tx.executemany(queries.put_document, [_row(each) for each in kept])
            await tx.execute(queries.delete_documents, _of(claim, gone))
            await outbox.append(tx, *map(_indexed, kept))
            revisions = {each.document.photo_id: each.catalogue_revision for each in kept}
            revisions |= {photo_id: claim.revisions[photo_id] for photo_id in gone}
            done = {**_of(claim, list(revisions)), "revisions": list(revisions.values())}
            await tx.execute(queries.done, done)

    async def mark_all(self, library_id: UUID) -> None:
        """Have every photo of the library indexed again, those that are being indexed at this moment, too."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.release, {"library_id": library_id})
        after: UUID | None = UUID(int=0)
        while after is not None:
            async with self._database.transaction() as tx:
                bounds = {"library_id": library_id, "after": after, "limit": _SLICE}
                row = await (await tx.execute(queries.rebuild, bounds)).fetchone()
            after = row["photo_id"] if row else None

    async def next_number(self) -> int:
        """A number between those of the takings before and after."""
        async with self._database.transaction() as tx:
            rows = await (await tx.execute(queries.next_number)).fetchall()
        return int(rows[0]["number"])

    async def libraries(self) -> Sequence[UUID]:
        """Every library that has a photo here."""
        return [row["library_id"] for row in await self._rows("libraries")]

    async def older_than(self, number: int) -> int:
        """How many documents were composed before this number."""
        rows = await self._rows("count_older", number=number)
        return int(rows[0]["photos"])

    async def pending(self, library_id: UUID) -> int:
        """How many photos wait to be indexed."""
        rows = await self._rows("count_pending", library_id=library_id)
        return int(rows[0]["pending"])

    async def people_named(self, library_id: UUID, terms: Collection[str]) -> Mapping[str, frozenset[UUID]]:
        """People by folded word of their name, or by the whole of it."""
        named: dict[str, set[UUID]] = {}
        for row in await self._rows("people_named", library_id=library_id, terms=list(terms)):
            for term in set(row["terms"]) & set(terms):
                named.setdefault(term, set()).add(row["person_id"])
        return {term: frozenset(people) for term, people in named.items()}

    async def name_words(self, library_id: UUID, *, shortest: int, longest: int) -> frozenset[str]:
        """Words of names, so many characters long."""
        rows = await self._rows("name_words", library_id=library_id, shortest=shortest, longest=longest)
        return frozenset(row["word"] for row in rows)

    async def live(self, library_id: UUID, photo_ids: Collection[UUID]) -> Mapping[UUID, LivePhoto]:
        """Those of these photos that may be shown."""
        rows = await self._rows("live", library_id=library_id, photo_ids=list(photo_ids))
        return {
            row["photo_id"]: LivePhoto(frozenset(row["terms"]), row["tag_scores"], frozenset(row["person_ids"]))
            for row in rows
        }

    async def facets(self, library_id: UUID, photo_ids: Collection[UUID]) -> Facets:
        """The most frequent people, tags and years among these photos."""
        facets: dict[str, list[FacetValue]] = {"people": [], "tags": [], "years": []}
        for row in await self._rows("facets", library_id=library_id, photo_ids=list(photo_ids)):
            facets[row["facet"]].append(FacetValue(row["value"], row["photos"], row["name"]))
        return facets

    async def _rows(self, name: str, **params: Any) -> list[dict[str, Any]]:
        async with self._database.read() as connection:
            return await (await connection.execute(getattr(queries, name), params)).fetchall()


def _of(claim: Claim, photo_ids: Sequence[UUID]) -> dict[str, Any]:
    return {"library_id": claim.library_id, "claim": claim.number, "photo_ids": list(photo_ids)}


def _row(composed: Composed) -> dict[str, Any]:
    document = composed.document
    return {
        "library_id": document.library_id,
        "photo_id": document.photo_id,
        "revision": document.revision,
        "catalogue_revision": composed.catalogue_revision,
        "taken_at": document.taken_at,
        "terms": sorted(document.terms),
        "tag_scores": Jsonb(document.tag_scores),
        "labels": list(composed.labels),
        "person_ids": sorted(document.person_ids),
    }


def _indexed(composed: Composed) -> Fact:
    photo_id = str(composed.document.photo_id)
    return Fact(
        topic=Topic.SEARCH,
        key=photo_id,
        library_id=composed.document.library_id,
        revision=composed.document.revision,
        body=PhotoIndexed(photo_id=photo_id, catalogue_revision=composed.catalogue_revision),
    )
