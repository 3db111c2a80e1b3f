"""Average linkage on cosines, without the matrix of all pairs.

The mean of all cosines between two groups of unit vectors is the scalar product of their mean vectors: a group is one
row, however many members it has. All pairs that are each other's nearest are merged in one round: average linkage is
reducible: what two groups become is no nearer to a third than the nearer of them was, so no merge can come between
another pair (Bruynooghe 1977; Murtagh 1983). Memory grows with the vectors, time with their square, most of it spent in
products of matrices.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]

BLOCK = 1 << 22
"""Similarities in memory at a time: 16 MiB, and a multiple of it where most are near."""


def components(means: Floats, *, together: float) -> list[Rows]:
    """Parts that no pair of groups at or above the threshold joins: each is solved alone.

    An average reaches the threshold only if one of its pairs does, so average linkage merges nothing across them.
    """
    labels = np.arange(len(means))
    for block in _blocks(np.arange(len(means)), columns=len(means)):
        near, others = np.nonzero(means[block] @ means[block[0] :].T >= together)
        labels = _joined(labels, near + block[0], others + block[0])
    by_label = np.argsort(labels, kind="stable")
    return np.split(by_label, np.flatnonzero(np.diff(labels[by_label])) + 1)


def _joined(labels: Rows, near: Rows, others: Rows) -> Rows:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = labels[near], labels[others]
    graph = coo_array((np.ones(len(near), np.int8), edges), shape=(len(labels), len(labels)))
    return np.asarray(connected_components(graph, directed=False)[1][labels], np.intp)


def _blocks(rows: Rows, *, columns: int) -> Iterator[Rows]:
    size = max(1, BLOCK // columns)
    return (rows[start : start + size] for start in range(0, len(rows), size))


class Linkage:
    """Groups that become fewer, until no two are near enough.

    Which group is a group's nearest, and how near the second is, is looked up among all; afterwards only when a merge
    changes it. Nobody can come nearer than the second was, so a nearest that was merged and is still nearer stays it.
    """

    def __init__(
        self,
        means: Floats,
        members: Sequence[Sequence[int]],
        *,
        apart: Sequence[set[int]],
        exclusive: NDArray[np.bool_],
    ) -> None:
        """Begin.

        Args:
            means: Mean vector of each group, shape (groups, dimension).
            members: Of each group.
            apart: For each group the others that it may not become one with; symmetric.
            exclusive: Groups of which no two may become one.
        """
        self._means = means.copy()
        self._members = [list(some) for some in members]
        self._apart = [set(others) for others in apart]
        self._exclusive = exclusive.copy()
        self._nearest = np.zeros(len(means), np.intp)
        self._similarity, self._second = np.zeros((2, len(means)), np.float32)

    def merge(self, *, together: float) -> list[list[int]]:
        """Merge groups as long as the mean similarity of two is at least ``together``, above 0; the members of all."""
        self._look(np.arange(len(self._means)))
        while len(near := np.flatnonzero(self._similarity >= together)):
            self._follow(near, self._merge_pairs(self._pairs(near)))
        return [members for members in self._members if members]

    def _pairs(self, near: Rows) -> NDArray[np.intp]:
        """Groups that are each other's nearest, shape (pairs, 2); at least the nearest two of all."""
        others = self._nearest[near]
        mutual = (self._nearest[others] == near) & (near < others)
        if not mutual.any():  # three are equally near, and rounding sends each to another
            mutual = near == near[self._similarity[near].argmax()]
        return np.stack([near[mutual], others[mutual]], axis=1)

    def _merge_pairs(self, pairs: NDArray[np.intp]) -> Rows:
        """Make each pair one group, in the row of its first; for each row the one that its group is in now."""
        into = np.arange(len(self._means))
        for kept, gone in pairs.tolist():
            sizes = len(self._members[kept]), len(self._members[gone])
            self._means[kept] = (sizes[0] * self._means[kept] + sizes[1] * self._means[gone]) / sum(sizes)
            self._members[kept] += self._members[gone]
            self._exclusive[kept] |= self._exclusive[gone]
            for other in self._apart[gone]:
                self._apart[other].discard(gone)
                self._apart[other].add(kept)
            self._apart[kept] |= self._apart[gone]
            into[gone] = kept
        self._leave(pairs[:, 1])
        return into

    def _leave(self, rows: Rows) -> None:
        """Empty rows; zeros are near nobody."""
        self._means[rows] = self._similarity[rows] = 0
        for row in rows:
            self._members[row] = []
            self._apart[row] = set()

    def _follow(self, near: Rows, into: Rows) -> None:
        """Find the nearest of what was merged anew, and of those whose nearest was."""
        gone = np.flatnonzero(into != np.arange(len(into)))
        merged = np.zeros(len(into), bool)
        merged[gone] = merged[into[gone]] = True
        moved = near[merged[self._nearest[near]] & ~merged[near]]
        self._nearest[moved] = others = into[self._nearest[moved]]
        self._similarity[moved] = np.einsum("ij,ij->i", self._means[moved], self._means[others])
        lost = (self._similarity[moved] < self._second[moved]) | self._are_apart(moved, others)
        self._look(np.concatenate([into[gone], moved[lost]]))

    def _are_apart(self, rows: Rows, others: Rows) -> NDArray[np.bool_]:
        said = [int(other) in self._apart[row] for row, other in zip(rows, others, strict=True)]
        return np.array(said, bool) | (self._exclusive[rows] & self._exclusive[others])

    def _look(self, rows: Rows) -> None:
        """Find the nearest of each of these groups, and how near the second is."""
        for block in _blocks(rows, columns=len(self._means)):
            similarity = self._means[block] @ self._means.T
            similarity[np.ix_(self._exclusive[block], self._exclusive)] = -1
            for line, row in enumerate(block):
                similarity[line, [row, *self._apart[row]]] = -1
            lines = np.arange(len(block))
            self._nearest[block] = nearest = similarity.argmax(axis=1)
            self._similarity[block] = similarity[lines, nearest]
            similarity[lines, nearest] = -1
            self._second[block] = similarity.max(axis=1)
