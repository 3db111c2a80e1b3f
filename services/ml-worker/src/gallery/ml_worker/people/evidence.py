"""Why each face of a grouping is where it is."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from gallery.ml_worker.people.matching import EXAMPLES
from gallery.ml_worker.people.proposals import Evidence, Example, Rule


def explain(
    vectors: NDArray[np.float32],
    groups: Sequence[Sequence[int]],
    *,
    faces: Sequence[UUID],
    people: Sequence[UUID | None],
    threshold: float,
) -> list[Evidence]:
    """Evidence of each face, in the order of ``faces``.

    Args:
        vectors: Shape (faces, dimension), each of length 1.
        groups: Positions of the members of each group; every face is in exactly one.
        faces: Their ids.
        people: The person of each group.
        threshold: The mean similarity that held groups together.
    """
    sums = np.stack([vectors[list(group)].sum(axis=0) for group in groups])
    named = np.array([person is not None for person in people])
    sizes = np.array([len(group) for group in groups], np.float32)
    answer: list[Evidence | None] = [None] * len(faces)
    for number, group in enumerate(groups):
        members = vectors[list(group)]
        within = members @ members.T
        means = np.where(named, members @ sums.T / sizes, -1.0)
        means[:, number] = -1
        for row, position in enumerate(group):
            own = float((within[row].sum() - within[row, row]) / (len(group) - 1)) if len(group) > 1 else None
            rival = int(means[row].argmax())
            answer[position] = _evidence(
                own=own,
                rival=(float(means[row, rival]), people[rival]),
                examples=_examples(within[row], group, faces, row),
                threshold=threshold,
            )
    return [evidence for evidence in answer if evidence is not None]


def _evidence(
    *, own: float | None, rival: tuple[float, UUID | None], examples: tuple[Example, ...], threshold: float
) -> Evidence:
    """For a face alone, the nearest group is the one that was refused."""
    similarity, person = rival
    if own is None:
        return Evidence(
            Rule.AVERAGE_LINKAGE, threshold=threshold, similarity=similarity if person else None, runner_up=person
        )
    margin = own - similarity if person else None
    return Evidence(
        Rule.AVERAGE_LINKAGE, threshold=threshold, similarity=own, margin=margin, runner_up=person, examples=examples
    )


def _examples(row: NDArray[np.float32], group: Sequence[int], faces: Sequence[UUID], own: int) -> tuple[Example, ...]:
    nearest = [index for index in np.argsort(-row, kind="stable") if index != own][:EXAMPLES]
    return tuple(Example(faces[group[index]], float(row[index])) for index in nearest)
