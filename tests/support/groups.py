"""Pairwise precision and recall of groups of faces against the folder that each portrait lies in."""

from itertools import combinations
from pathlib import PurePosixPath
from typing import Any


def portrait_groups(faces: list[dict[str, Any]], *, without: frozenset[str] = frozenset({"group"})) -> dict[str, str]:
    """Map each portrait to its person's id, or to itself when its face is in no group; the largest face counts."""
    largest: dict[str, dict[str, Any]] = {}
    for face in faces:
        if PurePosixPath(face["file"]).parent.name in without:
            continue
        best = largest.get(face["file"])
        if best is None or face["box"][2] > best["box"][2]:
            largest[face["file"]] = face
    return {name: face["person"] if face["state"] == "assigned" else f"alone:{name}" for name, face in largest.items()}


def pairwise(groups: dict[str, str]) -> tuple[float, float]:
    """Return precision and recall over pairs of portraits; truth is the folder."""
    together = right = same = 0
    for one, other in combinations(sorted(groups), 2):
        truly = PurePosixPath(one).parent == PurePosixPath(other).parent
        found = groups[one] == groups[other]
        together += found
        same += truly
        right += truly and found
    return right / max(together, 1), right / max(same, 1)
