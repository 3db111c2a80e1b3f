"""Average linkage without a matrix, held to its definition with one."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gallery.ml_worker.people.linkage import Linkage, components

TOGETHER = 0.4
APART = -1e9


@st.composite
def vectors(draw: st.DrawFn) -> NDArray[np.float32]:
    """Noisy directions around a few others, of length one."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = random.normal(size=(draw(st.integers(1, 5)), 8))
    count = draw(st.integers(1, 24))
    found = centres[random.integers(len(centres), size=count)] + random.normal(scale=0.7, size=(count, 8))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def by_definition(cosines: NDArray[np.float64]) -> set[frozenset[int]]:
    """The two groups with the largest mean over all their pairs become one, again and again."""
    groups = [[index] for index in range(len(cosines))]
    while len(groups) > 1:
        means = {
            (one, other): cosines[np.ix_(groups[one], groups[other])].mean()
            for one in range(len(groups))
            for other in range(one)
        }
        one, other = max(means, key=lambda pair: means[pair])
        if means[one, other] < TOGETHER:
            break
        groups[other] += groups.pop(one)
    return set(map(frozenset, groups))


def linked(found: NDArray[np.float32], *, apart: Sequence[set[int]] = (), exclusive: Sequence[int] = ()) -> Linkage:
    alone = [[index] for index in range(len(found))]
    named = np.isin(np.arange(len(found)), exclusive)
    return Linkage(found, alone, apart=apart or [set() for _ in alone], exclusive=named)


def as_sets(groups: Sequence[Sequence[int]]) -> set[frozenset[int]]:
    return set(map(frozenset, groups))


@settings(deadline=None)
@given(found=vectors())
def test_groups_are_those_of_the_definition(found: NDArray[np.float32]) -> None:
    cosines = found.astype(np.float64) @ found.T
    assert as_sets(linked(found).merge(together=TOGETHER)) == by_definition(cosines)


@settings(deadline=None)
@given(found=vectors(), data=st.data())
def test_what_is_apart_stays_so_and_changes_nothing_else(found: NDArray[np.float32], data: st.DataObject) -> None:
    rows = st.integers(0, len(found) - 1)
    pairs = [pair for pair in data.draw(st.lists(st.tuples(rows, rows), max_size=6)) if pair[0] != pair[1]]
    exclusive = data.draw(st.sets(rows, max_size=4))
    cosines = found.astype(np.float64) @ found.T
    apart: list[set[int]] = [set() for _ in found]
    for one, other in [*pairs, *((one, other) for one in exclusive for other in exclusive if one < other)]:
        cosines[one, other] = cosines[other, one] = APART
    for one, other in pairs:
        apart[one].add(other)
        apart[other].add(one)
    merged = linked(found, apart=apart, exclusive=sorted(exclusive)).merge(together=TOGETHER)
    assert as_sets(merged) == by_definition(cosines)


@settings(deadline=None)
@given(found=vectors())
def test_parts_alone_give_the_groups_of_the_whole(found: NDArray[np.float32]) -> None:
    parts = components(found, together=TOGETHER)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(found)))
    alone = [[part[row] for row in rows] for part in parts for rows in linked(found[part]).merge(together=TOGETHER)]
    assert as_sets(alone) == as_sets(linked(found).merge(together=TOGETHER))


def test_many_of_the_very_same_become_one() -> None:
    one, other = np.eye(2, 8, dtype=np.float32)
    found = np.stack([one, other, one, one, other, one])
    assert as_sets(linked(found).merge(together=TOGETHER)) == {frozenset({0, 2, 3, 5}), frozenset({1, 4})}
