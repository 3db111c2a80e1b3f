"""Which person each group of a new grouping is: ids follow decisions, then the largest overlap."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID


def name_groups(
    groups: Sequence[Sequence[UUID]],
    *,
    judged: Mapping[UUID, UUID],
    former: Mapping[UUID, UUID],
    new_person: Callable[[], UUID],
) -> list[UUID | None]:
    """The person of each group.

    Args:
        groups: Face ids; those that people gave to one person are in one group.
        judged: Face to person, as people said. It wins over everything, and makes even a single face somebody.
        former: Face to person, as proposed last time.
        new_person: Makes an id for a group that was nobody before.

    Returns:
        One person a group; None for a face alone.
    """
    names: list[UUID | None] = [_judged(group, judged) for group in groups]
    taken = {*filter(None, names), *judged.values()}
    for _, index, person in sorted(_overlaps(groups, former), key=lambda claim: (-claim[0], claim[1], str(claim[2]))):
        if names[index] is None and person not in taken and len(groups[index]) > 1:
            names[index] = person
            taken.add(person)
    return [
        new_person() if name is None and len(group) > 1 else name for name, group in zip(names, groups, strict=True)
    ]


def _judged(group: Sequence[UUID], judged: Mapping[UUID, UUID]) -> UUID | None:
    return next((judged[face] for face in group if face in judged), None)


def _overlaps(groups: Sequence[Sequence[UUID]], former: Mapping[UUID, UUID]) -> list[tuple[int, int, UUID]]:
    """How many faces each group shares with each former person: (faces, group, person)."""
    claims = []
    for index, group in enumerate(groups):
        shared = Counter(former[face] for face in group if face in former)
        claims += [(count, index, person) for person, count in shared.items()]
    return claims
