"""Why each face of a grouping is where it is."""

from collections.abc import Iterator, Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from gallery.ml_worker.people.matching import EXAMPLES
from gallery.ml_worker.people.proposals import Evidence, Example, Rule

ROWS = 256
"""Faces compared at a time, with all of their group and with all other people."""

NOBODY = -2.0
"""Below any cosine."""

Rival = tuple[float, UUID | None]
"""Mean similarity to the next person, and who that is."""


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
    known = np.array([number for number, person in enumerate(people) if person is not None], np.intp)
    means = np.array([vectors[list(groups[number])].mean(axis=0) for number in known], np.float32)
    means = means.reshape(-1, vectors.shape[1])
    named = [people[number] for number in known]
    answer: dict[int, Evidence] = {}
    for number, rows in _blocks(groups):
        members = list(groups[number])
        block = vectors[members[rows.start : rows.stop]]
        within, others = block @ vectors[members].T, block @ means.T
        others[:, known == number] = NOBODY
        for row, near, far in zip(rows, within, others, strict=True):
            rival = _rival(far, named)
            examples = _examples(near, row, members, faces)
            answer[members[row]] = _evidence(_mean(near, row), rival, examples, threshold=threshold)
    return [answer[position] for position in range(len(faces))]


def _blocks(groups: Sequence[Sequence[int]]) -> Iterator[tuple[int, range]]:
    for number, group in enumerate(groups):
        for start in range(0, len(group), ROWS):
            yield number, range(start, min(start + ROWS, len(group)))


def _mean(near: NDArray[np.float32], own: int) -> float | None:
    """Mean similarity to the others of the group; None for a face alone."""
    return float((near.sum() - near[own]) / (len(near) - 1)) if len(near) > 1 else None


def _rival(far: NDArray[np.float32], people: Sequence[UUID | None]) -> Rival:
    nearest = int(far.argmax()) if len(far) else 0
    return (float(far[nearest]), people[nearest]) if len(far) and far[nearest] > NOBODY else (NOBODY, None)


def _evidence(own: float | None, rival: Rival, examples: tuple[Example, ...], *, threshold: float) -> Evidence:
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


def _examples(near: NDArray[np.float32], own: int, group: Sequence[int], faces: Sequence[UUID]) -> tuple[Example, ...]:
    """The nearest of the others."""
    candidates = np.argpartition(-near, EXAMPLES)[: EXAMPLES + 1] if len(near) > EXAMPLES + 1 else np.arange(len(near))
    nearest = [index for index in candidates[np.argsort(-near[candidates], kind="stable")] if index != own][:EXAMPLES]
    return tuple(Example(faces[group[index]], float(near[index])) for index in nearest)
