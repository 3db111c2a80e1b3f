"""Matching new faces to the people known so far, photo by photo; the grouping has the last word.

Several examples speak for a person, since one in profile or in bad light would speak alone; the next person must be
clearly further away, since relatives are near each other everywhere; and a photo shows nobody twice.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from gallery.ml_worker.people.proposals import Evidence, Example, Proposal, Rule, standing

EXAMPLES = 3
"""Nearest faces of a person whose mean similarity counts."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The pack's thresholds, as cosines; ``measured`` is false for a pack that only suggests."""

    match: float
    margin: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A face seen before: its photo, and its person if it has one."""

    face_id: UUID
    photo_id: UUID
    person_id: UUID | None


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A face to match, and the known faces near it with their similarities, nearest first."""

    face_id: UUID
    near: Sequence[tuple[Known, float]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person who may be this face."""

    person_id: UUID
    similarity: float
    examples: tuple[Example, ...]


def match(
    newcomers: Sequence[Newcomer], *, photo_id: UUID, rules: Rules, new_person: Callable[[], UUID]
) -> list[Proposal]:
    """Propose people for the faces of one photo.

    Args:
        newcomers: Its faces.
        photo_id: Neighbours from the same photo are left out; they are somebody else.
        rules: When a match is one.
        new_person: Makes the id of a person nobody has heard of.

    Returns:
        A proposal a face, and one for each lone face of another photo that found its second here.
    """
    near = {face.face_id: [pair for pair in face.near if pair[0].photo_id != photo_id] for face in newcomers}
    ranked = {face_id: candidates(pairs) for face_id, pairs in near.items()}
    chosen = _choose(ranked, rules)
    proposals = [_known(face_id, ranked[face_id], chosen.get(face_id), rules) for face_id in near]
    alone = {face_id: near[face_id] for face_id in near if face_id not in chosen}
    return _pair(proposals, alone, rules, new_person)


def candidates(near: Sequence[tuple[Known, float]]) -> list[Candidate]:
    """The people among the neighbours, the most similar first."""
    by_person: dict[UUID, list[Example]] = defaultdict(list)
    for known, similarity in near:
        if known.person_id is not None and len(by_person[known.person_id]) < EXAMPLES:
            by_person[known.person_id].append(Example(known.face_id, similarity))
    people = [
        Candidate(person, sum(example.similarity for example in examples) / len(examples), tuple(examples))
        for person, examples in by_person.items()
    ]
    return sorted(people, key=lambda candidate: (-candidate.similarity, str(candidate.person_id)))


def _choose(ranked: Mapping[UUID, Sequence[Candidate]], rules: Rules) -> dict[UUID, Candidate]:
    """The best person of each face, the surest first; a person whom a surer face took is not free any more."""
    sure = [
        (people[0], face_id)
        for face_id, people in ranked.items()
        if people and people[0].similarity >= rules.match and _leads(people, by=rules.margin)
    ]
    chosen: dict[UUID, Candidate] = {}
    taken: set[UUID] = set()
    for best, face_id in sorted(sure, key=lambda pair: (-pair[0].similarity, str(pair[1]))):
        if best.person_id not in taken:
            taken.add(best.person_id)
            chosen[face_id] = best
    return chosen


def _leads(people: Sequence[Candidate], *, by: float) -> bool:
    margin = _margin(people)
    return margin is None or margin >= by


def _margin(people: Sequence[Candidate]) -> float | None:
    return people[0].similarity - people[1].similarity if len(people) > 1 else None


def _known(face_id: UUID, people: Sequence[Candidate], chosen: Candidate | None, rules: Rules) -> Proposal:
    evidence = Evidence(
        Rule.NEAREST_EXAMPLES,
        threshold=rules.match,
        similarity=people[0].similarity if people else None,
        margin=_margin(people),
        runner_up=people[1].person_id if len(people) > 1 else None,
        examples=people[0].examples if people else (),
    )
    person = chosen.person_id if chosen else None
    return Proposal(face_id, person, standing(person, measured=rules.measured), evidence)


def _pair(
    proposals: Sequence[Proposal],
    alone: Mapping[UUID, Sequence[tuple[Known, float]]],
    rules: Rules,
    new_person: Callable[[], UUID],
) -> list[Proposal]:
    """Make a person of a face without one and the nearest lone face of another photo."""
    found: dict[UUID, Proposal] = {}
    for face_id in sorted(alone, key=str):
        lone = ((known.face_id, similarity) for known, similarity in alone[face_id] if known.person_id is None)
        partner = next((pair for pair in lone if pair[1] >= rules.match and pair[0] not in found), None)
        if partner is not None:
            person = new_person()
            found[face_id] = _alike(face_id, partner[0], person, partner[1], rules)
            found[partner[0]] = _alike(partner[0], face_id, person, partner[1], rules)
    kept = [proposal for proposal in proposals if proposal.face_id not in found]
    return [*kept, *found.values()]


def _alike(face_id: UUID, other: UUID, person: UUID, similarity: float, rules: Rules) -> Proposal:
    evidence = Evidence(
        Rule.TWO_ALIKE, threshold=rules.match, similarity=similarity, examples=(Example(other, similarity),)
    )
    return Proposal(face_id, person, standing(person, measured=rules.measured), evidence)
