"""Figures beside their goals, as a table for whoever reads the run and as JSON for whoever compares runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        name: What was measured.
        seen: As it was.
        goal: None where there is none: it is there to explain another.
        unit: Of both.
        least: Whether the goal is the least, not the most.
    """

    name: str
    seen: float
    unit: str
    goal: float | None = None
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.seen >= self.goal if self.least else self.seen <= self.goal


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so many percent are not above."""
    return float(np.percentile(values, share))


def tell(name: str, figures: Sequence[Figure], **more: Mapping[str, float]) -> None:
    """Print the table, keep it with whatever else was found, by kind, as ``results/NAME.json``."""
    print(f"{'figure':62} {'seen':>16} {'goal':>16}  met?")
    for each in figures:
        goal = "" if each.goal is None else f"{'≥' if each.least else '≤'} {each.goal:,.4g} {each.unit}"
        met = {None: "", True: "yes", False: "NO"}[each.met]
        print(f"{each.name:62} {f'{each.seen:,.4g} {each.unit}':>16} {goal:>16}  {met}")
    for name_of, found in more.items():
        print(f"{name_of.replace('_', ' ')}: {', '.join(f'{kind} {each:.3g}' for kind, each in found.items())}")
    RESULTS.mkdir(exist_ok=True)
    rows = [{"figure": each.name, "seen": each.seen, "goal": each.goal, "met": each.met} for each in figures]
    (RESULTS / f"{name}.json").write_text(json.dumps({"figures": rows, **more}, indent=2))
