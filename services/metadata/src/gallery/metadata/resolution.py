"""The one answer to who a face is: a decision if there is one, else the newest proposal that knew the decisions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from gallery.metadata.domain import FaceState, Proposal


@dataclass(frozen=True, slots=True)
class Face:
    """A face as it is resolved now.

    Attributes:
        held_revision: Of the decision that named its person; 0 when nobody decided about them.
    """

    face_id: UUID
    person_id: UUID | None
    state: FaceState
    held_revision: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """What a new answer adds to the counts.

    Attributes:
        faces: Per person, assigned faces.
        photos: Per person, photos with an assigned face: -1, 0 or 1.
        unassigned: Faces that belong to nobody so far.
    """

    faces: Mapping[UUID, int]
    photos: Mapping[UUID, int]
    unassigned: int


def resolve(
    current: Sequence[Face],
    proposals: Sequence[Proposal],
    *,
    decisions: Mapping[UUID, UUID | None],
    known_revision: int,
) -> list[Face]:
    """Give the faces of a photo.

    Args:
        current: As they are resolved so far.
        proposals: The machine's whole opinion on the photo; a face that is not in it was not found again.
        decisions: Person of each face that somebody decided about; None: nobody of this gallery.
        known_revision: The newest decision that the machine knew.

    A face whose person was named after that stays as it is. A judged face that was not found again stays, too.
    """
    held = {face.face_id: face for face in current if face.person_id and face.held_revision > known_revision}
    answer = {proposal.face_id: Face(proposal.face_id, proposal.person_id, proposal.state) for proposal in proposals}
    answer |= held
    present = answer.keys() | {face.face_id for face in current}
    answer |= {face_id: decided(face_id, person) for face_id, person in decisions.items() if face_id in present}
    return [answer[face_id] for face_id in sorted(answer)]


def decided(face_id: UUID, person_id: UUID | None) -> Face:
    """A face that somebody decided about; one that is nobody of this gallery is ignored."""
    return Face(face_id, person_id, FaceState.ASSIGNED if person_id else FaceState.IGNORED)


def tally(before: Sequence[Face], after: Sequence[Face]) -> Tally:
    """Compare two answers for one photo."""
    old, new = _assigned(before), _assigned(after)
    people = old.keys() | new.keys()
    return Tally(
        faces={person: new[person] - old[person] for person in people},
        photos={person: (new[person] > 0) - (old[person] > 0) for person in people},
        unassigned=_unassigned(after) - _unassigned(before),
    )


def _assigned(faces: Iterable[Face]) -> Counter[UUID]:
    return Counter(face.person_id for face in faces if face.state is FaceState.ASSIGNED and face.person_id)


def _unassigned(faces: Iterable[Face]) -> int:
    return sum(face.state in {FaceState.UNASSIGNED, FaceState.SUGGESTED} for face in faces)
