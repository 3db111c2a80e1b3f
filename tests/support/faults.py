"""Faults of a gallery of many processes: a schedule that a seed tells, and somebody who carries it out."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from support.disks import ballast
from support.tcp_faults import Cut, TcpFaults

LONGER_THAN_A_SESSION = 12.0
"""Seconds; a member of a group that is silent for ten loses its partitions, and a worker its leases."""

TO_START_AND_CATCH_UP = 60.0
"""Seconds; the slowest engine takes half of it, and one that is always down proves nothing."""
REVIVE_EVERY = 15.0
"""Seconds, as a service manager pauses between two starts of one that ends again and again."""
WELL_FOR = 20.0
"""Seconds; an engine has served for at least so long before it is killed again."""

GAP_SECONDS = (0.3, 2.5)
"""Between two faults, so that most meet one that is not over."""

WHOLE_WITHIN_SECONDS = 120

BUSY = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: 79\r\nConnection: close\r\n\r\n"
    b"<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>"
)
"""What S3 says under load."""


class Engine(Protocol):
    """What can be killed, and takes its time to start again."""

    def kill(self) -> None:
        """End it without a word."""
        ...

    def launch(self) -> None:
        """Start it."""
        ...

    def wait(self) -> None:
        """Wait until it serves."""
        ...


class Process(Protocol):
    """What can be killed and frozen, and is looked after."""

    def kill(self) -> None:
        """End it without a word."""
        ...

    def start(self) -> None:
        """Start it."""
        ...

    def pause(self) -> None:
        """Keep it from running."""
        ...

    def resume(self) -> None:
        """Let it run on."""
        ...

    def is_ready(self) -> bool:
        """Whether it says that it serves."""
        ...

    def revive(self) -> bool:
        """Start it again if it has ended by itself; whether it had."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    Attributes:
        name: Says what happens.
        victims: Those it may happen to, by name.
        lasts: Seconds, from and to.
        weight: How often it comes in a round of all kinds.
        rest: Seconds; a victim has at least so long until its next fault.
    """

    name: str
    victims: Sequence[str]
    lasts: tuple[float, float]
    weight: int = 1
    rest: float = 1.0


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One fault.

    Attributes:
        at: Seconds after the beginning.
        victim: A process, a link, an engine or a disk, by name.
        kind: What happens to it.
        lasts: Seconds.
    """

    at: float
    victim: str
    kind: str
    lasts: float


def kinds_of_faults(
    *, processes: Sequence[str], engines: Sequence[str], links: Sequence[str], http: Sequence[str], disks: Sequence[str]
) -> list[Kind]:
    """Tell what can happen to whom; ``http`` are the links whose servers may be busy."""
    brief = (0.5, 4.0)
    kinds = [
        Kind("kill", processes, (0.0, 2.0), weight=9),
        Kind("pause", processes, (1.0, 4.0), weight=4),
        Kind("long pause", processes, (LONGER_THAN_A_SESSION, 14.0), weight=4),
        Kind("restart", engines, (0.0, 3.0), weight=4, rest=TO_START_AND_CATCH_UP),
        *(Kind(name, links, brief) for name in ("slow", "reset", "cut", "half close", "silence", "refuse")),
        Kind("503", http, brief),
        Kind("full disk", disks, brief),
    ]
    return [kind for kind in kinds if kind.victims]


def schedule(seed: int, number: int, kinds: Sequence[Kind]) -> list[Step]:
    """Tell so many faults, none of a victim that is not over its last one; the same for the same seed and names.

    Kinds come in rounds, so that all of them come.
    """
    chance, now = random.Random(seed), 0.0
    free: dict[str, float] = {}
    steps: list[Step] = []
    while len(steps) < number:
        for kind in _round(chance, kinds):
            now += chance.uniform(*GAP_SECONDS)
            well = [victim for victim in kind.victims if free.get(victim, 0.0) <= now]
            if well and len(steps) < number:
                step = Step(now, chance.choice(well), kind.name, chance.uniform(*kind.lasts))
                free[step.victim] = now + step.lasts + kind.rest
                steps.append(step)
    return steps


def _round(chance: random.Random, kinds: Sequence[Kind]) -> list[Kind]:
    return chance.sample(kinds, sum(kind.weight for kind in kinds), counts=[kind.weight for kind in kinds])


@dataclass(frozen=True, slots=True)
class Victims:
    """Everything that can be harmed, by name; names are unique over all.

    Attributes:
        processes: Of the product; one that ends by itself is started again, as whoever runs it would.
        engines: What it stands on.
        links: The way to some of those.
        disks: Folders on small disks of their own.
    """

    processes: Mapping[str, Process]
    engines: Mapping[str, Engine]
    links: Mapping[str, TcpFaults]
    disks: Mapping[str, Path]


class Saboteur:
    """Carries out a schedule. While an engine starts nothing else breaks, so that all comes later, in its order.

    Attributes:
        ended: Processes that ended by themselves and were started again.
        healed: Each fault that is over, and since when.
        downs: When an engine was down, from and to.
    """

    def __init__(self, victims: Victims) -> None:
        self.ended: Counter[str] = Counter()
        self.healed: list[tuple[Step, datetime]] = []
        self.downs: list[tuple[datetime, datetime]] = []
        self._since: dict[str, datetime] = {}
        self._victims = victims
        self._filling: dict[str, Path] = {}
        self._down: set[str] = set()
        self._revived: dict[str, float] = {}
        self._starting: dict[str, Future[None]] = {}
        self._serving_since: dict[str, float] = {}
        self._waiters = ThreadPoolExecutor(len(victims.engines), thread_name_prefix="engines")

    def carry_out(self, steps: Sequence[Step]) -> None:
        """Break and heal, each in its time; at the end all is whole."""
        moments = sorted([*((step.at, step, True) for step in steps), *((s.at + s.lasts, s, False) for s in steps)])
        began = time.monotonic()
        for at, step, breaking in moments:
            while time.monotonic() < began + at or (breaking and not self._may_break(step.victim)):
                self.look_after()
                time.sleep(0.05)
            (self._break if breaking else self._heal)(step)
            began = max(began, time.monotonic() - at)
        for engine in self._starting.values():
            engine.result()
        self._wait_until_whole()

    def _wait_until_whole(self) -> None:
        """Have every process ready again; one that met an engine which was away has ended, perhaps only now."""
        deadline = time.monotonic() + WHOLE_WITHIN_SECONDS
        while not all(process.is_ready() for process in self._victims.processes.values()):
            assert time.monotonic() < deadline, "not whole again"
            self.look_after()
            time.sleep(0.2)

    def look_after(self) -> None:
        """Start again what ended by itself, not at once each time: who waits for an engine would eat up the machine."""
        now = time.monotonic()
        for name, process in self._victims.processes.items():
            rested = now > self._revived.get(name, 0.0) + REVIVE_EVERY
            if rested and name not in self._down and process.revive():
                self._revived[name] = now
                self.ended[name] += 1

    def _may_break(self, name: str) -> bool:
        """Whether no engine starts, and this one has not just started."""
        if not all(starting.done() for starting in self._starting.values()):
            return False
        return time.monotonic() > self._serving_since.get(name, 0.0) + WELL_FOR

    def _break(self, step: Step) -> None:
        name = step.victim
        self._down.add(name)
        self._since[name] = datetime.now(UTC)
        match step.kind:
            case "kill":
                self._victims.processes[name].kill()
            case "pause" | "long pause":
                self._victims.processes[name].pause()
            case "restart":
                self._victims.engines[name].kill()
            case "full disk":
                self._filling[name] = ballast(self._victims.disks[name], leave=0)
            case _:
                disturb(self._victims.links[name], step.kind)

    def _heal(self, step: Step) -> None:
        name = step.victim
        match step.kind:
            case "kill":
                self._victims.processes[name].start()
            case "pause" | "long pause":
                self._victims.processes[name].resume()
            case "restart":
                self._victims.engines[name].launch()
                self._starting[name] = self._waiters.submit(self._wait, step)
                return
            case "full disk":
                self._filling.pop(name).unlink()
            case _:
                self._victims.links[name].heal()
        self._over(step)

    def _wait(self, step: Step) -> None:
        self._victims.engines[step.victim].wait()
        self._serving_since[step.victim] = time.monotonic()
        self._over(step)
        self.downs.append((self._since[step.victim], datetime.now(UTC)))

    def _over(self, step: Step) -> None:
        self._down.discard(step.victim)
        self.healed.append((step, datetime.now(UTC)))


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
        case "503":
            link.up.answer = BUSY


@contextmanager
def linked(ports: Mapping[str, int]) -> Iterator[dict[str, TcpFaults]]:
    """Links to servers by name, for the block's time."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(TcpFaults(port)) for name, port in ports.items()}
