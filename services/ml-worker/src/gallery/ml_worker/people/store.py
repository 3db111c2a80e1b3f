"""Faces, proposals and decisions in Postgres."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
from psycopg.types.json import Jsonb

from gallery.events.topics import Topic
from gallery.events.v1 import analysis_pb2 as pb
from gallery.ml_worker.people.proposals import FaceState, Proposal
from gallery.ports.vectors import Vector
from gallery.runtime.database import Database, Transaction
from gallery.runtime.leases import Leased, LeaseLostError
from gallery.runtime.outbox import Fact, append
from gallery.runtime.sql import Queries

queries = Queries.load("gallery.ml_worker.people")

PAGE = 100
"""Photos of one transaction, which has to stay far below its five seconds."""

STATES = {
    FaceState.ASSIGNED: pb.FACE_STATE_ASSIGNED,
    FaceState.SUGGESTED: pb.FACE_STATE_SUGGESTED,
    FaceState.UNASSIGNED: pb.FACE_STATE_UNASSIGNED,
    FaceState.IGNORED: pb.FACE_STATE_IGNORED,
}


@dataclass(frozen=True, slots=True)
class LibraryState:
    """How far a library's people are: decisions heard of, changes so far, changes that were grouped."""

    decisions_revision: int
    changed: int
    grouped: int

    @property
    def due(self) -> bool:
        """Whether a canonical grouping is due."""
        return self.changed > self.grouped


@dataclass(frozen=True, slots=True, eq=False)
class StoredFace:
    """A face as it was found; ``ignored`` says why it is not grouped, None when it is."""

    id: UUID
    photo_id: UUID
    vector: Vector
    ignored: str | None


@dataclass(frozen=True, slots=True, eq=False)
class LibraryFace:
    """A face with all that a canonical grouping asks of it.

    Attributes:
        key: Sorts faces alike however they came in.
        judged: Whether somebody decided about it.
        judged_person: Whom they said; None: nobody of this gallery.
        former: The proposal that stands: person, state and rule; None when there is none.
        current: Whether it was made from this pack's vectors.
    """

    face: StoredFace
    key: str
    judged: bool
    judged_person: UUID | None
    former: tuple[UUID | None, str, str] | None
    current: bool


class PeopleStore:
    """What the people role reads, outside of transactions."""

    def __init__(self, database: Database, *, pack: str) -> None:
        """Read faces of one pack; vectors of two packs are never compared."""
        self._database = database
        self._pack = pack

    async def library(self, library_id: UUID) -> LibraryState:
        """How far this library is."""
        rows = await self._rows(queries.library, library_id=library_id)
        return LibraryState(**rows[0]) if rows else LibraryState(0, 0, 0)

    async def libraries_due(self) -> list[UUID]:
        """Libraries whose canonical grouping is behind."""
        return [row["library_id"] for row in await self._rows(queries.libraries_due)]

    async def new_faces(self, library_id: UUID, *, photos: int) -> list[StoredFace]:
        """All faces of at most so many photos that nothing was proposed for."""
        rows = await self._rows(queries.new_faces, library_id=library_id, pack=self._pack, photos=photos)
        return [_stored(row) for row in rows]

    async def known(self, library_id: UUID, ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, UUID | None]]:
        """Photo and person of faces that something was proposed for; ignored ones are left out."""
        rows = await self._rows(queries.known_faces, library_id=library_id, pack=self._pack, ids=list(ids))
        return {row["face_id"]: (row["photo_id"], row["person_id"]) for row in rows}

    async def all_faces(self, library_id: UUID) -> list[LibraryFace]:
        """Every face of a library."""
        rows = await self._rows(queries.all_faces, library_id=library_id, pack=self._pack)
        return [_library_face(row) for row in rows]

    async def outdated(self, library_id: UUID) -> bool:
        """Whether proposals stand that were made from vectors of another pack."""
        (row,) = await self._rows(queries.outdated, library_id=library_id, pack=self._pack)
        return bool(row["outdated"])

    async def photos_of(self, faces: Sequence[UUID]) -> set[UUID]:
        """The photos that these faces are in."""
        return {row["photo_id"] for row in await self._rows(queries.photos_of, ids=list(faces))}

    async def vectors(self, library_id: UUID) -> list[tuple[UUID, Vector]]:
        """Every vector that is compared."""
        rows = await self._rows(queries.vectors_of_library, library_id=library_id, pack=self._pack)
        return [(row["id"], np.frombuffer(row["vector"], np.float32)) for row in rows]

    async def count_vectors(self, library_id: UUID) -> int:
        """How many vectors are compared."""
        (row,) = await self._rows(queries.count_vectors, library_id=library_id, pack=self._pack)
        return int(row["faces"])

    async def explanation(self, library_id: UUID, face_id: UUID) -> dict[str, Any] | None:
        """Person, state and evidence of a face as columns; None when nothing was proposed yet."""
        rows = await self._rows(queries.explanation, library_id=library_id, face_id=face_id)
        return rows[0] if rows else None

    async def pending(self, library_id: UUID) -> bool:
        """Whether faces wait to be matched or grouped."""
        (row,) = await self._rows(queries.grouping_pending, library_id=library_id)
        return bool(row["pending"])

    async def _rows(self, query: Any, **parameters: Any) -> list[dict[str, Any]]:
        async with self._database.read() as connection:
            return await (await connection.execute(query, parameters)).fetchall()


async def write(
    tx: Transaction, library_id: UUID, proposals: Iterable[Proposal], *, photos: Iterable[UUID], decisions_revision: int
) -> None:
    """Keep proposals and say the new answer for each of these photos, whole. ``tx`` holds the photos' keys."""
    await tx.executemany(queries.put_proposal, [_row(proposal) for proposal in proposals])
    for photo_id in sorted(photos):
        row = await (await tx.execute(queries.raise_proposal, {"photo_id": photo_id})).fetchone()
        revision = int(row["revision"]) if row else 1
        await _say(tx, library_id, photo_id, revision=revision, decisions_revision=decisions_revision)


async def say_again(database: Database, library_id: UUID, *, decisions_revision: int) -> int:
    """Say the standing answer of every photo once more, under its revision; how many there were."""
    after, said = UUID(int=0), 0
    while True:
        async with database.read() as connection:
            page = {"library_id": library_id, "after": after, "limit": PAGE}
            rows = await (await connection.execute(queries.proposed_photos, page)).fetchall()
        if not rows:
            return said
        async with database.transaction(keys=[str(row["photo_id"]) for row in rows]) as tx:
            for row in rows:
                photo_id, revision = row["photo_id"], row["revision"]
                await _say(tx, library_id, photo_id, revision=revision, decisions_revision=decisions_revision)
        after, said = rows[-1]["photo_id"], said + len(rows)


async def hold(tx: Transaction, leased: Leased, *, lease: timedelta) -> None:
    """Make sure the lease is still ours, and lengthen it.

    Raises:
        LeaseLostError: The work is another's by now.
    """
    held = {"id": leased.id, "fence": leased.fence, "lease": lease}
    if await (await tx.execute(queries.hold_lease, held)).fetchone() is None:
        raise LeaseLostError("the lease of a people job ran out")


async def _say(tx: Transaction, library_id: UUID, photo_id: UUID, *, revision: int, decisions_revision: int) -> None:
    """Say who is in a photo."""
    faces = await (await tx.execute(queries.proposals_of_photo, {"photo_id": photo_id})).fetchall()
    proposed = pb.FacesProposed(
        photo_id=str(photo_id), faces=[_proposed(face) for face in faces], decisions_revision=decisions_revision
    )
    await append(tx, Fact(Topic.ANALYSIS, str(photo_id), library_id, revision, proposed))


def _proposed(row: dict[str, Any]) -> pb.FaceProposal:
    return pb.FaceProposal(
        face_id=str(row["face_id"]),
        person_id=str(row["person_id"] or ""),
        state=STATES[FaceState(row["state"])],
    )


def _row(proposal: Proposal) -> dict[str, Any]:
    evidence = proposal.evidence
    return {
        "face_id": proposal.face_id,
        "person_id": proposal.person_id,
        "state": proposal.state,
        "rule": evidence.rule,
        "threshold": evidence.threshold,
        "similarity": evidence.similarity,
        "margin": evidence.margin,
        "runner_up": evidence.runner_up,
        "examples": Jsonb([[str(example.face_id), round(example.similarity, 4)] for example in evidence.examples]),
    }


def _stored(row: dict[str, Any]) -> StoredFace:
    return StoredFace(row["id"], row["photo_id"], np.frombuffer(row["vector"], np.float32), row["ignored"])


def _library_face(row: dict[str, Any]) -> LibraryFace:
    place = ",".join(f"{side:.4f}" for side in row["box"])
    return LibraryFace(
        face=_stored(row),
        key=f"{row['sha256'].hex()} {place}",
        judged=row["judged"],
        judged_person=row["judged_person"],
        former=(row["person_id"], row["state"], row["rule"]) if row["state"] else None,
        current=bool(row["current"]),
    )
