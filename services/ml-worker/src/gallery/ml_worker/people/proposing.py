"""Proposing people for the faces of one library: new faces at once, the whole library once it is quiet."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from time import monotonic
from uuid import UUID

import numpy as np

from gallery.ml_worker.packs import FacePack
from gallery.ml_worker.people import store
from gallery.ml_worker.people.evidence import explain
from gallery.ml_worker.people.grouping import GroupingFace, group
from gallery.ml_worker.people.matching import Known, Newcomer, Rules, match
from gallery.ml_worker.people.naming import name_groups
from gallery.ml_worker.people.proposals import Evidence, FaceState, Proposal, Rule, standing
from gallery.ml_worker.people.store import LibraryFace, PeopleStore, StoredFace
from gallery.ports.vectors import Point, Vectors
from gallery.runtime.database import Database
from gallery.runtime.ids import uuid7
from gallery.runtime.leases import Leased, WorkQueue

SLICE = timedelta(seconds=0.5)
"""How long one library is worked on before another has its turn."""

PHOTOS = 64
"""New photos read at a time; a slice ends between two photos, never inside one."""

CHUNK = 100
"""Photos written in one transaction, which has to stay far below its five seconds."""

NEAR = 48
"""Neighbours asked for: enough that the runner-up is among them when one person has many faces."""

LEASE = timedelta(seconds=6)
"""A dead process holds a library up for so long; a living one lengthens its lease four times in it."""


class Proposing:
    """Writes the machine's opinion on who is who; holds the lease of the library it works on."""

    def __init__(self, *, database: Database, vectors: Vectors, queue: WorkQueue, pack: FacePack) -> None:
        """Keep the parts; faces of other packs than ``pack`` are left alone."""
        self._database = database
        self._vectors = vectors
        self._queue = queue
        self._pack = pack
        self._store = PeopleStore(database, pack=pack.name)
        self._indexed: set[UUID] = set()
        limits = pack.thresholds
        self._rules = Rules(limits.match, limits.margin, measured=bool(limits.measured))

    async def match_new(self, leased: Leased) -> bool:
        """Match new faces for one slice; whether there were any. The job is asked for again when there were.

        Raises:
            LeaseLostError: Another worker has this library now; nothing was written.
        """
        library_id = leased.job.library_id
        faces = await self._store.new_faces(library_id, photos=PHOTOS)
        if not faces:
            return False
        await self._index(library_id, faces)
        revision = (await self._store.library(library_id)).decisions_revision
        proposals, photos = await self._match_photos(library_id, faces)
        photos |= await self._photos_of(proposals)
        async with self._database.transaction(keys=map(str, photos)) as tx:
            await store.write(tx, library_id, proposals, photos=photos, decisions_revision=revision)
            await tx.execute(store.queries.note_change, {"library_id": library_id, "decisions_revision": revision})
            await self._queue.finish(tx, leased)
            await self._queue.add(tx, [leased.job])
        return True

    async def group_all(self, leased: Leased) -> int:
        """Group the whole library anew, write what changed, finish the job; how many faces changed.

        Raises:
            LeaseLostError: Another worker has this library now; what was written until then is whole and harmless.
        """
        library_id = leased.job.library_id
        state = await self._store.library(library_id)
        faces = await self._store.all_faces(library_id)
        await self._index(library_id, [])
        proposals = await asyncio.to_thread(regroup, faces, self._pack)
        changed = _changes(faces, proposals)
        await self._write_grouping(leased, changed, revision=state.decisions_revision)
        async with self._database.transaction() as tx:
            await tx.execute(store.queries.note_grouping, {"library_id": library_id, "changed": state.changed})
            await self._queue.finish(tx, leased)
        return len(changed)

    async def _index(self, library_id: UUID, new: Sequence[StoredFace]) -> None:
        """Make the vectors searchable, all of the library's when the index turns out to have lost some."""
        await self._vectors.ensure(self._pack.name, dimension=self._pack.embedder.dimension)
        points = [(face.id, face.vector) for face in new if face.ignored is None]
        if library_id not in self._indexed or not new:
            known = await self._vectors.count(self._pack.name, library_id)
            if known + len(points) < await self._store.count_vectors(library_id):
                points = await self._store.vectors(library_id)
            self._indexed.add(library_id)
        if points:
            await self._vectors.upsert(self._pack.name, [Point(face, library_id, vector) for face, vector in points])

    async def _match_photos(self, library_id: UUID, faces: Sequence[StoredFace]) -> tuple[list[Proposal], set[UUID]]:
        """Match photo after photo until the slice is over; later photos see what earlier ones got."""
        fresh: dict[UUID, tuple[UUID, UUID | None]] = {}
        answer: dict[UUID, Proposal] = {}
        photos: set[UUID] = set()
        begun = monotonic()
        for photo_id, members in _by_photo(faces):
            wanted = [face for face in members if face.ignored is None]
            newcomers = [await self._newcomer(library_id, face, fresh) for face in wanted]
            matched = match(newcomers, photo_id=photo_id, rules=self._rules, new_person=uuid7)
            photos.add(photo_id)
            answer |= {proposal.face_id: proposal for proposal in [*matched, *_ignored(members)]}
            fresh |= {proposal.face_id: (photo_id, proposal.person_id) for proposal in matched}
            if monotonic() - begun > SLICE.total_seconds():
                break
        return list(answer.values()), photos

    async def _newcomer(
        self, library_id: UUID, face: StoredFace, fresh: dict[UUID, tuple[UUID, UUID | None]]
    ) -> Newcomer:
        near = await self._vectors.search(self._pack.name, library_id, face.vector, limit=NEAR)
        known = await self._store.known(library_id, [neighbour.id for neighbour in near]) | fresh
        return Newcomer(
            face.id,
            [(Known(one.id, *known[one.id]), one.similarity) for one in near if one.id in known and one.id != face.id],
        )

    async def _photos_of(self, proposals: Sequence[Proposal]) -> set[UUID]:
        return await self._store.photos_of([proposal.face_id for proposal in proposals])

    async def _write_grouping(self, leased: Leased, changed: Sequence[tuple[UUID, Proposal]], *, revision: int) -> None:
        library_id = leased.job.library_id
        by_photo = [(photo, [one for _, one in pairs]) for photo, pairs in groupby(changed, key=lambda pair: pair[0])]
        for start in range(0, len(by_photo), CHUNK):
            part = by_photo[start : start + CHUNK]
            photos = [photo for photo, _ in part]
            proposals = [proposal for _, found in part for proposal in found]
            async with self._database.transaction(keys=map(str, photos)) as tx:
                await store.hold(tx, leased, lease=LEASE)
                await store.write(tx, library_id, proposals, photos=photos, decisions_revision=revision)


def regroup(faces: Sequence[LibraryFace], pack: FacePack) -> list[Proposal]:
    """The canonical answer for every face of a library, given what people said and what was proposed before."""
    left_out = [_left_out(one) for one in faces if _is_left_out(one)]
    kept = sorted((one for one in faces if not _is_left_out(one)), key=lambda one: one.key)
    if not kept:
        return left_out
    threshold, measured = pack.thresholds.together, bool(pack.thresholds.measured)
    groups = group([_to_group(one) for one in kept], together=threshold)
    ids = [one.face.id for one in kept]
    people = name_groups(
        [[ids[position] for position in members] for members in groups],
        judged={one.face.id: one.judged_person for one in kept if one.judged_person},
        former={one.face.id: one.former[0] for one in kept if one.former and one.former[0]},
        new_person=uuid7,
    )
    vectors = np.stack([one.face.vector for one in kept])
    evidence = explain(vectors, groups, faces=ids, people=people, threshold=threshold)
    return [
        *left_out,
        *(
            _grouped(kept[position], person, evidence[position], measured=measured)
            for members, person in zip(groups, people, strict=True)
            for position in members
        ),
    ]


def _by_photo(faces: Sequence[StoredFace]) -> Iterator[tuple[UUID, list[StoredFace]]]:
    for photo_id, members in groupby(faces, key=lambda face: face.photo_id):
        yield photo_id, list(members)


def _ignored(faces: Iterable[StoredFace]) -> list[Proposal]:
    return [Proposal(face.id, None, FaceState.IGNORED, Evidence(Rule(face.ignored))) for face in faces if face.ignored]


def _is_left_out(one: LibraryFace) -> bool:
    """Judged to be nobody, or too poor to compare and not judged to be somebody."""
    return one.judged_person is None and (one.judged or one.face.ignored is not None)


def _left_out(one: LibraryFace) -> Proposal:
    rule = Rule.JUDGED if one.judged else Rule(one.face.ignored or Rule.JUDGED)
    return Proposal(one.face.id, None, FaceState.IGNORED, Evidence(rule))


def _to_group(one: LibraryFace) -> GroupingFace:
    return GroupingFace(one.key, str(one.face.photo_id), one.face.vector, str(one.judged_person or ""))


def _grouped(one: LibraryFace, person: UUID | None, evidence: Evidence, *, measured: bool) -> Proposal:
    if one.judged_person is not None:
        return Proposal(one.face.id, one.judged_person, FaceState.ASSIGNED, Evidence(Rule.JUDGED))
    return Proposal(one.face.id, person, standing(person, measured=measured), evidence)


def _changes(faces: Sequence[LibraryFace], proposals: Sequence[Proposal]) -> list[tuple[UUID, Proposal]]:
    """Proposals that differ from those that stand, with their photos, ordered by photo."""
    before = {one.face.id: one for one in faces}
    changed = []
    for proposal in proposals:
        one = before[proposal.face_id]
        if not one.current or one.former != (proposal.person_id, str(proposal.state), str(proposal.evidence.rule)):
            changed.append((one.face.photo_id, proposal))
    return sorted(changed, key=lambda pair: (pair[0], pair[1].face_id))
