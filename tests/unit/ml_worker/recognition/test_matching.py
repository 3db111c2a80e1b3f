"""Provisional matching: several examples, a clear lead, nobody twice in a photo, two before a person."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from gallery.ml_worker.people.matching import Known, Newcomer, Rules, match
from gallery.ml_worker.people.proposals import FaceState, Rule

RULES = Rules(match=0.4, margin=0.05, measured=True)
PHOTO = UUID(int=1)
ANNA, BEN, NEW = uuid4(), uuid4(), uuid4()


def known(person: UUID | None, photo: UUID | None = None) -> Known:
    return Known(uuid4(), photo or uuid4(), person)


def newcomer(*near: tuple[Known, float]) -> Newcomer:
    return Newcomer(uuid4(), sorted(near, key=lambda pair: -pair[1]))


def test_the_mean_of_the_nearest_examples_decides_and_is_kept_as_evidence() -> None:
    face = newcomer(*((known(ANNA), score) for score in (0.7, 0.6, 0.5, 0.1)), (known(BEN), 0.3))
    (proposal,) = match([face], photo_id=PHOTO, rules=RULES, new_person=uuid4)
    assert (proposal.person_id, proposal.state) == (ANNA, FaceState.ASSIGNED)
    evidence = proposal.evidence
    assert (round(evidence.similarity or 0, 6), round(evidence.margin or 0, 6)) == (0.6, 0.3)
    assert (evidence.runner_up, evidence.rule, len(evidence.examples)) == (BEN, Rule.NEAREST_EXAMPLES, 3)


def test_a_face_between_two_people_is_nobodys() -> None:
    (proposal,) = match(
        [newcomer((known(ANNA), 0.6), (known(BEN), 0.58))], photo_id=PHOTO, rules=RULES, new_person=uuid4
    )
    assert (proposal.person_id, proposal.state) == (None, FaceState.UNASSIGNED)
    assert proposal.evidence.runner_up == BEN


def test_two_people_equally_near_are_no_lead() -> None:
    (proposal,) = match(
        [newcomer((known(ANNA), 0.6), (known(BEN), 0.6))], photo_id=PHOTO, rules=RULES, new_person=uuid4
    )
    assert proposal.person_id is None


def test_an_unknown_face_waits_for_its_second() -> None:
    (alone,) = match([newcomer((known(None), 0.2))], photo_id=PHOTO, rules=RULES, new_person=lambda: NEW)
    assert alone.state == FaceState.UNASSIGNED
    waiting = known(None)
    both = match([newcomer((waiting, 0.55))], photo_id=PHOTO, rules=RULES, new_person=lambda: NEW)
    assert len(both) == 2
    assert {proposal.person_id for proposal in both} == {NEW}
    assert waiting.face_id in {proposal.face_id for proposal in both}
    assert {proposal.evidence.rule for proposal in both} == {Rule.TWO_ALIKE}


def test_a_pack_that_was_never_measured_only_suggests() -> None:
    rules = Rules(match=0.4, margin=0.05, measured=False)
    (proposal,) = match([newcomer((known(ANNA), 0.9))], photo_id=PHOTO, rules=rules, new_person=uuid4)
    assert (proposal.person_id, proposal.state) == (ANNA, FaceState.SUGGESTED)


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from([ANNA, BEN, None]), st.booleans(), st.floats(-1, 1)), max_size=6), max_size=5
    )
)
def test_nobody_is_twice_in_a_photo(rows: list[list[tuple[UUID | None, bool, float]]]) -> None:
    faces = [newcomer(*((known(who, PHOTO if here else None), score) for who, here, score in row)) for row in rows]
    proposals = match(faces, photo_id=PHOTO, rules=RULES, new_person=uuid4)
    mine = {face.face_id for face in faces}
    people = [one.person_id for one in proposals if one.face_id in mine and one.person_id]
    assert len(people) == len(set(people))
    assert mine <= {one.face_id for one in proposals}
