"""Whom the machine proposes for a face, and why."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class FaceState(StrEnum):
    """Where a face stands."""

    ASSIGNED = "assigned"
    SUGGESTED = "suggested"
    UNASSIGNED = "unassigned"
    IGNORED = "ignored"


class Rule(StrEnum):
    """What decided."""

    JUDGED = "judged"
    """Somebody said so."""
    NEAREST_EXAMPLES = "nearest_examples"
    """Provisional: the mean similarity to the person's nearest faces, and its lead over the next person."""
    TWO_ALIKE = "two_alike"
    """Provisional: two faces of nobody known that belong together."""
    AVERAGE_LINKAGE = "average_linkage"
    """Canonical: the mean similarity within the group."""
    TOO_SMALL = "too_small"
    TOO_BLURRY = "too_blurry"


@dataclass(frozen=True, slots=True)
class Example:
    """A face that speaks for the answer; ``similarity`` is the cosine to it."""

    face_id: UUID
    similarity: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a face is whose it is, or nobody's.

    Attributes:
        rule: What decided.
        threshold: What ``similarity`` had to reach; 0 where nothing was compared.
        similarity: To the person proposed, else to the best that was refused; None when nobody was there to compare.
        margin: Lead over the next person; None when there is no other.
        runner_up: The next person.
        examples: Nearest faces of the person, at most three.
    """

    rule: Rule
    threshold: float = 0.0
    similarity: float | None = None
    margin: float | None = None
    runner_up: UUID | None = None
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """The machine's opinion on one face."""

    face_id: UUID
    person_id: UUID | None
    state: FaceState
    evidence: Evidence


def standing(person_id: UUID | None, *, measured: bool) -> FaceState:
    """What a match means: a pack whose thresholds were never measured only suggests."""
    if person_id is None:
        return FaceState.UNASSIGNED
    return FaceState.ASSIGNED if measured else FaceState.SUGGESTED
