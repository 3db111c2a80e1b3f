"""What a run of faults was like, by the times that the outboxes keep: how long anything stood still, and tables."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from support.fault_checks import Checker
from support.faults import Step

STILL_AT_MOST_SECONDS = 60.0

Span = tuple[datetime, datetime]
"""From and to."""

SAID = """
    SELECT key, at, type LIKE '%%.PhotoIndexed' AS indexed FROM (
        SELECT key, at, type FROM upload.outbox UNION ALL SELECT key, at, type FROM metadata.outbox
        UNION ALL SELECT key, at, type FROM ml_worker.outbox UNION ALL SELECT key, at, type FROM search.outbox
    ) AS facts ORDER BY at
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """When each photo came along.

    Attributes:
        steps: The times of each photo's facts, ascending; the first one is that of its upload.
        found: When it could be found for the first time.
    """

    steps: Mapping[UUID, Sequence[datetime]]
    found: Mapping[UUID, datetime]

    @classmethod
    def of(cls, checker: Checker) -> "Progress":
        """Read it."""
        steps: dict[UUID, list[datetime]] = {photo: [] for photo in checker.journal.values()}
        found: dict[UUID, datetime] = {}
        for row in checker.rows(SAID):
            photo = UUID(row["key"])
            if photo in steps:
                steps[photo].append(row["at"])
                if row["indexed"]:
                    found.setdefault(photo, row["at"])
        return cls(steps, found)

    def stillness(self, downs: Sequence[Span], *, but: Iterable[UUID]) -> list[float]:
        """For each photo but some, the longest time without progress while all engines served, seconds."""
        left_out, down = set(but), _joined(downs)
        kept = [times for photo, times in self.steps.items() if photo not in left_out]
        return [max((_outside(down, span) for span in pairwise(times)), default=0.0) for times in kept]

    def recoveries(self, healed: Sequence[tuple[Step, datetime]], downs: Sequence[Span]) -> dict[str, list[float]]:
        """For each fault, by kind, how long it took until a photo that came after it could be found, seconds.

        Args:
            healed: Faults, and when they were over. Others may have been under way then, and came after.
            downs: When an engine was down. A fault whose end falls into that is over when the engine serves again.
        """
        uploaded = sorted((self.steps[photo][0], at) for photo, at in self.found.items())
        first_found = [at for _, at in uploaded]
        for place in range(len(first_found) - 2, -1, -1):
            first_found[place] = min(first_found[place], first_found[place + 1])
        seconds: dict[str, list[float]] = {}
        joined = _joined(downs)
        for step, ended in healed:
            over = _when_all_serve(ended, joined)
            place = bisect_left(uploaded, (over,))
            if place < len(uploaded):
                seconds.setdefault(step.kind, []).append((first_found[place] - over).total_seconds())
        return seconds

    @property
    def facts(self) -> int:
        """How many were said of photos."""
        return sum(map(len, self.steps.values()))


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Spans that overlap as one, in their order."""
    joined: list[Span] = []
    for since, until in sorted(spans):
        if joined and since <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], until)
        else:
            joined.append((since, until))
    return joined


def _outside(downs: Sequence[Span], span: Span) -> float:
    """Seconds of a span that are in none of some others, which don't overlap."""
    begin, end = span
    inside = (min(until, end) - max(since, begin) for since, until in downs if since < end and until > begin)
    return (end - begin - sum(inside, timedelta())).total_seconds()


def _when_all_serve(moment: datetime, downs: Sequence[Span]) -> datetime:
    return next((until for since, until in downs if since <= moment < until), moment)


def seconds_of(spans: Iterable[Span]) -> float:
    """How long they are together, where they overlap once."""
    return sum((until - since).total_seconds() for since, until in _joined(spans))


def shares_of(values: Sequence[float], *, between: str = " | ") -> str:
    """Median, 95th percentile and maximum."""
    if not values:
        return between.join("---")
    ordered = sorted(values)
    places = (min(len(ordered) - 1, int(share * len(ordered))) for share in (0.5, 0.95, 1.0))
    return between.join(f"{ordered[place]:.1f}" for place in places)


@dataclass
class Report:
    """Tables for whoever reads the run.

    Attributes:
        failed: What did not hold.
    """

    failed: list[str] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(["", *self._lines])

    def figures(self, told: Mapping[str, object]) -> None:
        """One line for each figure."""
        self._table("run", "")
        self._lines += [f"| {what} | {value} |" for what, value in told.items()]

    def faults(self, steps: Sequence[Step], recoveries: Mapping[str, Sequence[float]]) -> None:
        """One line for each kind."""
        self._table("fault", "times", "recovery, seconds: median", "p95", "max")
        numbers = Counter(step.kind for step in steps)
        self._lines += [
            f"| {kind} | {numbers[kind]} | {shares_of(recoveries.get(kind, []))} |" for kind in sorted(numbers)
        ]
        everything = [each for several in recoveries.values() for each in several]
        self._lines.append(f"| all | {len(steps)} | {shares_of(everything)} |")

    def checks(self, checks: Mapping[str, Callable[[], None]]) -> None:
        """Hold everything to what must be, whatever else failed."""
        self._table("check", "result")
        for what, check in checks.items():
            try:
                check()
            except AssertionError as error:
                self.failed.append(f"{what}: {error}")
                self._lines.append(f"| {what} | FAILED: {str(error).partition(chr(10))[0]} |")
            else:
                self._lines.append(f"| {what} | holds |")

    def _table(self, *columns: str) -> None:
        self._lines += ["", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
