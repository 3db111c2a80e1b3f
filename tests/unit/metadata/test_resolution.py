from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from gallery.metadata.domain import FaceState, Proposal
from gallery.metadata.resolution import Face, resolve, tally

IDS = [UUID(int=number) for number in range(1, 7)]
ANNA, BEN = UUID(int=101), UUID(int=102)
people = st.sampled_from([ANNA, BEN])
opinions = st.one_of(
    st.tuples(people, st.sampled_from([FaceState.ASSIGNED, FaceState.SUGGESTED])),
    st.tuples(st.none(), st.sampled_from([FaceState.UNASSIGNED, FaceState.IGNORED])),
)
proposal_lists = st.dictionaries(st.sampled_from(IDS), opinions).map(
    lambda faces: [Proposal(face, *opinion) for face, opinion in faces.items()]
)
decision_maps = st.dictionaries(st.sampled_from(IDS), st.one_of(st.none(), people))


def faces_of(proposals: list[Proposal], held: int = 0) -> list[Face]:
    return [Face(p.face_id, p.person_id, p.state, held if p.person_id else 0) for p in proposals]


@given(proposal_lists, proposal_lists, decision_maps)
def test_a_decision_always_wins(
    before: list[Proposal], after: list[Proposal], decisions: dict[UUID, UUID | None]
) -> None:
    answer = {face.face_id: face for face in resolve(faces_of(before), after, decisions=decisions, known_revision=9)}
    for face_id, person in decisions.items():
        if face_id in answer:
            assert answer[face_id].person_id == person
    judged = decisions.keys() & {p.face_id for p in before}
    assert judged <= answer.keys(), "a judged face that was not found again stays"


@given(proposal_lists, proposal_lists)
def test_an_opinion_from_before_the_name_moves_no_named_face(before: list[Proposal], after: list[Proposal]) -> None:
    answer = {face.face_id: face for face in resolve(faces_of(before, held=5), after, decisions={}, known_revision=4)}
    for proposal in before:
        if proposal.person_id:
            assert (answer[proposal.face_id].person_id, answer[proposal.face_id].state) == (
                proposal.person_id,
                proposal.state,
            )


@given(proposal_lists, proposal_lists)
def test_without_decisions_the_newest_opinion_is_the_answer(before: list[Proposal], after: list[Proposal]) -> None:
    answer = resolve(faces_of(before, held=5), after, decisions={}, known_revision=5)
    assert {(f.face_id, f.person_id, f.state) for f in answer} == {(p.face_id, p.person_id, p.state) for p in after}


@given(proposal_lists, proposal_lists)
def test_tallies_add_up(before: list[Proposal], after: list[Proposal]) -> None:
    old, new = faces_of(before), faces_of(after)
    there, back = tally(old, new), tally(new, old)
    assert all(there.faces[person] == -back.faces[person] for person in there.faces)
    assert there.unassigned == -back.unassigned
    total = tally([], new)
    assert sum(total.faces.values()) == sum(face.state is FaceState.ASSIGNED for face in new)
    assert all(change == 1 for person, change in total.photos.items() if total.faces[person])
