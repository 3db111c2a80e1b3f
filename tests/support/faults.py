"""Faults of a gallery of many processes: a schedule that a seed tells, and somebody who carries it out."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from support.distributed import Distributed
from support.tcp_faults import Cut, TcpFaults

LONGER_THAN_A_SESSION = 12.0
"""Seconds; a member of a group that is silent for ten loses its partitions, and a worker its leases."""

GAP_SECONDS = (0.3, 2.5)
"""Between two faults, so that most meet one that is not over."""

ENGINE_SHARE, LINK_SHARE = 0.12, 0.25
"""Of the faults; the rest are kills and pauses of our own processes."""

WHOLE_WITHIN_SECONDS = 90

PROCESS_FAULTS = {"kill": (0.0, 2.0), "pause": (1.0, 4.0), "long pause": (LONGER_THAN_A_SESSION, 14.0)}
LINK_FAULTS = dict.fromkeys(("slow", "reset", "cut", "half close", "silence", "refuse"), (0.5, 4.0))
ENGINE_FAULTS = {"restart": (0.0, 3.0)}
"""What can happen, and how many seconds it lasts."""


class Engine(Protocol):
    """What can be killed and started again."""

    def kill(self) -> None:
        """End it without a word."""
        ...

    def start(self) -> None:
        """Have it serve again."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One fault.

    Attributes:
        at: Seconds after the beginning.
        victim: A process, a link or an engine, by name.
        kind: What happens to it.
        lasts: Seconds.
    """

    at: float
    victim: str
    kind: str
    lasts: float


def schedule(
    seed: int, number: int, *, processes: Sequence[str], links: Sequence[str], engines: Sequence[str]
) -> list[Step]:
    """Tell so many faults, none of a victim that is not over its last one; the same for the same seed and names."""
    chance, now = random.Random(seed), 0.0
    free: dict[str, float] = {}
    steps: list[Step] = []
    while len(steps) < number:
        now += chance.uniform(*GAP_SECONDS)
        draw = chance.random()
        victims, kinds = (
            (engines, ENGINE_FAULTS)
            if draw < ENGINE_SHARE
            else (links, LINK_FAULTS)
            if draw < ENGINE_SHARE + LINK_SHARE
            else (processes, PROCESS_FAULTS)
        )
        victim, kind = chance.choice(victims), chance.choice(list(kinds))
        lasts = chance.uniform(*kinds[kind])
        if free.get(victim, 0.0) <= now:
            free[victim] = now + lasts + 1
            steps.append(Step(now, victim, kind, lasts))
    return steps


class Saboteur:
    """Carries out a schedule; what an engine takes to start delays all that follows, and changes no order.

    Attributes:
        ended: Processes that ended by themselves and were started again, as whoever runs them would.
    """

    def __init__(self, gallery: Distributed, *, links: Mapping[str, TcpFaults]) -> None:
        self.ended: Counter[str] = Counter()
        self._processes = {process.name: process for process in gallery.all()}
        self._links = links
        self._engines: Mapping[str, Engine] = gallery.engines.by_name()
        self._down: set[str] = set()

    def carry_out(self, steps: Sequence[Step]) -> None:
        """Break and heal, each in its time; at the end all is whole."""
        moments = sorted([*((step.at, step, True) for step in steps), *((s.at + s.lasts, s, False) for s in steps)])
        late, began = 0.0, time.monotonic()
        for at, step, breaking in moments:
            while time.monotonic() < began + at + late:
                self._revive()
                time.sleep(0.05)
            started = time.monotonic()
            (self._break if breaking else self._heal)(step)
            late += time.monotonic() - started
        self._wait_until_whole()

    def _wait_until_whole(self) -> None:
        """Have every process ready again; one that met an engine which was away has ended, perhaps only now."""
        deadline = time.monotonic() + WHOLE_WITHIN_SECONDS
        while not all(process.is_ready() for process in self._processes.values()):
            assert time.monotonic() < deadline, "not whole again"
            self._revive()
            time.sleep(0.2)

    def _break(self, step: Step) -> None:
        self._down.add(step.victim)
        if step.victim in self._links:
            disturb(self._links[step.victim], step.kind)
        elif step.victim in self._engines:
            self._engines[step.victim].kill()
        elif step.kind == "kill":
            self._processes[step.victim].kill()
        else:
            self._processes[step.victim].pause()

    def _heal(self, step: Step) -> None:
        if step.victim in self._links:
            self._links[step.victim].heal()
        elif step.victim in self._engines:
            self._engines[step.victim].start()
        elif step.kind == "kill":
            self._processes[step.victim].start()
        else:
            self._processes[step.victim].resume()
        self._down.discard(step.victim)

    def _revive(self) -> None:
        for name, process in self._processes.items():
            if name not in self._down and process.revive():
                self.ended[name] += 1


def disturb(link: TcpFaults, kind: str) -> None:
    """Make a link a bad one."""
    match kind:
        case "slow":
            link.up.latency = link.down.latency = timedelta(milliseconds=200)
        case "reset":
            link.reset()
        case "cut" | "half close":
            link.down.cut = Cut.RESET if kind == "cut" else Cut.HALF_CLOSE
            link.down.cut_after(500)
        case "silence":
            link.up.silent = True
        case "refuse":
            link.refusing = True


@contextmanager
def linked(ports: Mapping[str, int]) -> Iterator[dict[str, TcpFaults]]:
    """Links to servers by name, for the block's time."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(TcpFaults(port)) for name, port in ports.items()}
