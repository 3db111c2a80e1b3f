"""What people said about faces, taken to heart: the newest decision on each face, whatever the order they arrive in."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from google.protobuf.message import Message as Body

from gallery.events.v1 import catalogue_pb2 as pb
from gallery.ml_worker.people.store import queries
from gallery.runtime.consumer import Delivery, Handler


async def person_named(delivery: Delivery, fact: pb.PersonNamed) -> None:
    """The faces that a person had when it got its name stay with it."""
    faces = [UUID(face) for face in fact.face_ids]
    await _decide(delivery, faces, person=UUID(fact.person_id), revision=fact.decisions_revision)


async def face_judged(delivery: Delivery, fact: pb.FaceJudged) -> None:
    """Somebody said who a face is, or that it is nobody."""
    person = UUID(fact.person_id) if fact.person_id else None
    await _decide(delivery, [UUID(fact.face_id)], person=person, revision=fact.decisions_revision)


DECISION_HANDLERS: Mapping[type[Body], Handler] = {pb.PersonNamed: person_named, pb.FaceJudged: face_judged}


async def _decide(delivery: Delivery, faces: Iterable[UUID], *, person: UUID | None, revision: int) -> None:
    library_id = delivery.message.library_id
    rows = [
        {"face_id": face, "library_id": library_id, "person_id": person, "revision": revision} for face in sorted(faces)
    ]
    async with delivery.transaction() as tx:
        await tx.executemany(queries.decide, rows)
        await tx.execute(queries.note_change, {"library_id": library_id, "decisions_revision": revision})
