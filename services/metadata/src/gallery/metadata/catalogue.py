"""One photo's change within one transaction: rows, ledger, counts, revision and the fact that tells of it.

Handlers commute: a photo that is not known yet is made, whichever fact came first; what an older fact says changes
nothing, and neither does the same said again. Locks have one order: the photo's key, people by id, the library.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.metadata.domain import (
    ORIGINAL_GONE,
    Described,
    FaceState,
    Original,
    Outcome,
    Proposal,
    Stage,
    State,
)
from gallery.metadata.resolution import Face, resolve, tally
from gallery.runtime.database import Transaction
from gallery.runtime.outbox import Fact, append
from gallery.runtime.sql import Queries

queries = Queries.load("gallery.metadata")
# What cannot be rendered cannot be looked at either.
_NEED_PIXELS = (Stage.FACES, Stage.TAGS, Stage.TEXT, Stage.PEOPLE)


@dataclass(slots=True)
class PhotoChange:
    """What one fact does to one photo. Made by ``changing``, which writes the rest at the end."""

    tx: Transaction
    library_id: UUID
    photo_id: UUID
    changed: bool = False
    photos: int = 0
    unassigned: int = 0
    counts: Counter[tuple[Stage, State]] = field(default_factory=Counter)

    async def describe(self, original: Original, described: Described, *, revision: int) -> None:
        """Write what upload and the header say, whatever stood there."""
        await self.tx.execute(queries.describe_photo, _columns(original, described))
        state = State.FAILED if described.reason in ORIGINAL_GONE else State.DONE
        outcome = Outcome(Stage.DESCRIBED, state, reason=described.reason)
        await self.end([outcome], revision=revision)
        self.changed = True

    async def resize(self, width: int, height: int) -> None:
        """Note the upright size; one of nothing, as analysis says when it could not decode, is passed over."""
        if width > 0 and height > 0:
            cursor = await self.tx.execute(queries.set_size, {"id": self.photo_id, "width": width, "height": height})
            self.changed |= await cursor.fetchone() is not None

    async def end(self, outcomes: Sequence[Outcome], *, revision: int) -> None:
        """Note how stages ended; what a newer fact said already stays."""
        cursor = await self.tx.execute(queries.stages, {"id": self.photo_id})
        rows = {Stage(row["stage"]): row for row in await cursor.fetchall()}
        news = [
            outcome
            for outcome in [*outcomes, *_blind(outcomes, rows)]
            if revision >= rows[outcome.stage]["source_revision"]
            and (revision, *_said(outcome)) != (rows[outcome.stage]["source_revision"], *_saved(rows[outcome.stage]))
        ]
        if news:
            await self._write(news, revision=revision)
            self.counts.subtract((outcome.stage, State(rows[outcome.stage]["state"])) for outcome in news)
            self.counts.update((outcome.stage, outcome.state) for outcome in news)
            self.changed = True

    async def propose(self, proposals: Sequence[Proposal], *, revision: int, known_revision: int) -> None:
        """Resolve who the faces are; an opinion older than the newest one is passed over."""
        cursor = await self.tx.execute(queries.note_proposal, {"id": self.photo_id, "revision": revision})
        if await cursor.fetchone() is None:
            return
        before = await self._faces()
        people = await self._lock_people(before, proposals)
        current = [
            Face(face.face_id, face.person_id, face.state, people.get(face.person_id, 0) if face.person_id else 0)
            for face in before
        ]
        after = resolve(current, proposals, decisions=await self._decisions(), known_revision=known_revision)
        await self._replace(before, after)

    async def note_indexed(self, revision: int) -> float | None:
        """The index has the photo as it was at this revision of ours; the photo itself has not changed.

        Returns:
            Seconds since the upload, when all that was to be seen in the photo can be found for the first time.
        """
        cursor = await self.tx.execute(queries.note_indexed, {"id": self.photo_id, "indexed": revision})
        row = await cursor.fetchone()
        if row is None:
            return None
        self._turn_indexed(row["was"], State.DONE)
        seconds: float | None = row["seconds"]
        return seconds

    async def _faces(self) -> list[Face]:
        cursor = await self.tx.execute(queries.faces_of_photo, {"id": self.photo_id})
        return [Face(row["id"], row["person_id"], FaceState(row["state"])) for row in await cursor.fetchall()]

    async def _decisions(self) -> dict[UUID, UUID | None]:
        cursor = await self.tx.execute(queries.decisions_of_photo, {"id": self.photo_id})
        return {row["face_id"]: row["person_id"] for row in await cursor.fetchall()}

    async def _lock_people(self, before: Sequence[Face], proposals: Sequence[Proposal]) -> dict[UUID, int]:
        """Make the people who are new, lock all who may win or lose a face; gives the decision that named each."""
        proposed = {proposal.person_id for proposal in proposals if proposal.person_id}
        everybody = sorted(proposed | {face.person_id for face in before if face.person_id})
        if not everybody:
            return {}
        await self.tx.execute(queries.ensure_people, {"library_id": self.library_id, "ids": sorted(proposed)})
        cursor = await self.tx.execute(queries.lock_people, {"ids": everybody})
        return {row["id"]: row["decided_revision"] for row in await cursor.fetchall()}

    async def _replace(self, before: Sequence[Face], after: Sequence[Face]) -> None:
        old = {face.face_id: (face.person_id, face.state) for face in before}
        new = {face.face_id: (face.person_id, face.state) for face in after}
        if old == new:
            return
        self.changed = True
        if lost := sorted(old.keys() - new.keys()):
            await self.tx.execute(queries.drop_faces, {"ids": lost})
        rows = [
            {
                "id": face_id,
                "library_id": self.library_id,
                "photo_id": self.photo_id,
                "person_id": person,
                "state": state,
            }
            for face_id, (person, state) in new.items()
            if old.get(face_id) != (person, state)
        ]
        await self.tx.executemany(queries.put_face, rows)
        await self._count_people(before, after)

    async def _count_people(self, before: Sequence[Face], after: Sequence[Face]) -> None:
        difference = tally(before, after)
        self.unassigned += difference.unassigned
        for person in sorted(difference.faces):
            added = {"id": person, "faces": difference.faces[person], "photos": difference.photos[person]}
            await self.tx.execute(queries.count_person, added)
        left = {face.person_id for face in before if face.person_id} - {face.person_id for face in after}
        if left:
            await self.tx.execute(queries.drop_empty_people, {"ids": sorted(person for person in left if person)})

    async def _write(self, outcomes: Sequence[Outcome], *, revision: int) -> None:
        written = {
            "stages": [outcome.stage for outcome in outcomes],
            "states": [outcome.state for outcome in outcomes],
            "reasons": [outcome.reason for outcome in outcomes],
            "packs": [outcome.pack for outcome in outcomes],
            "attempts": [outcome.attempts for outcome in outcomes],
        }
        await self.tx.execute(queries.end_stages, written | {"photo_id": self.photo_id, "source_revision": revision})

    def _turn_indexed(self, was: str | None, state: State) -> None:
        """Count that being indexed followed the revisions; ``was`` is None where it stood so before."""
        if was is not None:
            self.counts[Stage.INDEXED, State(was)] -= 1
            self.counts[Stage.INDEXED, state] += 1

    async def open(self) -> None:
        """Make the rows of a photo that is new here."""
        cursor = await self.tx.execute(queries.ensure_photo, {"id": self.photo_id, "library_id": self.library_id})
        if await cursor.fetchone() is not None:
            await self.tx.execute(queries.ensure_library, {"library_id": self.library_id})
            opened = {"id": self.photo_id, "library_id": self.library_id, "stages": list(Stage)}
            await self.tx.execute(queries.open_ledger, opened)
            self.photos += 1
            self.counts.update((stage, State.PENDING) for stage in Stage)

    async def close(self) -> None:
        """Raise the revision and tell of it when something changed; then add up, under the library's lock."""
        if self.changed:
            await self._raise_revision()
        await count(self.tx, self.library_id, self.counts, photos=self.photos, unassigned=self.unassigned)

    async def _raise_revision(self) -> None:
        cursor = await self.tx.execute(queries.raise_revision, {"id": self.photo_id})
        row = await cursor.fetchone()
        if row is None:
            return
        self._turn_indexed(row["was"], State.DONE if row["indexed"] else State.PENDING)
        # Before the upload is known there is nothing to show; the description will tell of all that came before it.
        if row["described"]:
            await append(self.tx, photo_changed(self.library_id, self.photo_id, revision=row["revision"]))


@asynccontextmanager
async def changing(tx: Transaction, library_id: UUID, photo_id: UUID) -> AsyncIterator[PhotoChange]:
    """Change one photo. The transaction holds the photo's key and does nothing else that locks."""
    change = PhotoChange(tx, library_id, photo_id)
    await change.open()
    yield change
    await change.close()


def photo_changed(library_id: UUID, photo_id: UUID, *, revision: int) -> Fact:
    """The fact that a photo is as of this revision."""
    body = PhotoChanged(photo_id=str(photo_id))
    return Fact(topic=Topic.CATALOGUE, key=str(photo_id), library_id=library_id, revision=revision, body=body)


async def count(
    tx: Transaction,
    library_id: UUID,
    stages: Mapping[tuple[Stage, State], int],
    *,
    photos: int = 0,
    unassigned: int = 0,
) -> None:
    """Add to a library's counts. Its row is locked here and last, so that two photos never wait for each other."""
    changes = {key: number for key, number in stages.items() if number}
    if not (changes or photos or unassigned):
        return
    await tx.execute(
        queries.add_counts,
        {
            "library_id": library_id,
            "photos": photos,
            "unassigned_faces": unassigned,
            "stages": [stage for stage, _ in changes],
            "states": [state for _, state in changes],
            "changes": list(changes.values()),
        },
    )


def _blind(outcomes: Sequence[Outcome], rows: Mapping[Stage, Mapping[str, Any]]) -> list[Outcome]:
    """What ends with a picture that cannot be rendered: every pending stage that looks at pixels."""
    rendered = next((outcome for outcome in outcomes if outcome.stage is Stage.RENDERED), None)
    if rendered is None or rendered.state is State.DONE:
        return []
    told = {outcome.stage for outcome in outcomes}
    return [
        Outcome(stage, rendered.state, rendered.reason, attempts=rendered.attempts)
        for stage in _NEED_PIXELS
        if stage not in told and rows[stage]["state"] == State.PENDING
    ]


def _said(outcome: Outcome) -> tuple[str, str, str, int]:
    return outcome.state, outcome.reason, outcome.pack, outcome.attempts


def _saved(row: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return row["state"], row["reason"], row["pack"], row["attempts"]


def _columns(original: Original, described: Described) -> dict[str, Any]:
    taken, gps, place = described.taken, described.gps, described.place
    return {
        "id": original.photo_id,
        "file": original.file,
        "blob_key": original.blob_key,
        "sha256": original.sha256,
        "size": original.size,
        "media_type": original.media_type,
        "uploaded_at": original.uploaded_at,
        "taken_at": taken.wall,
        "offset_minutes": taken.offset,
        "taken_from": taken.source,
        "offset_from": taken.offset_source,
        "camera": described.camera,
        "lens": described.lens,
        "exposure": Jsonb(described.exposure),
        "orientation": described.orientation,
        "gps_from": described.gps_from,
        "said": None if original.said is None else Jsonb(original.said),
        **{name: getattr(gps, name, None) for name in ("latitude", "longitude", "altitude", "direction")},
        **{name: getattr(place, name, None) for name in ("city", "region", "country", "country_code")},
    }
