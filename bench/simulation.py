"""A day of the analyse role on paper: photos arrive, workers claim them fairly, die, and are scaled by what is pending.

Discrete events, seeded, nothing but the standard library. Work is claimed as `claim_work` in gallery.runtime claims it
and held as the analyse role holds it, except that none overtakes others in hand; workers are scaled as KEDA and the
autoscaler under it do by default. Gives the waits of photos that somebody waits for, when a backfill is done, and what
the workers cost. Days that were tried are in docs/capacity.md; beside reality: simulation_check.py.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from day import DAY, HOUR, Load, arrivals
from fair_queue import INTERACTIVE, Photo, Queue

CLAIM, AHEAD, CLAIM_FROM = 8, 16, 4
"""Of the analyse role: photos of one claim at most, in hand at most, and places that are worth a claim."""
TOGETHER = 4
"""Photos that each of its models' two threads sees at once."""
LEASE = 6.0
"""Seconds; a living worker lengthens it every quarter of that."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker does.

    Attributes:
        rate: Photos a second when there is enough to do.
        alone: Seconds for a photo when there was nothing to do; later ones are decoded while others are looked at.
        start_up: Seconds from the decision to the first claim: node, image, models.
        life: Mean seconds until it dies without a word; infinite for never.
    """

    rate: float
    alone: float = 0.3
    start_up: float = 60.0
    life: float = math.inf


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many workers there are: ``pending / photos`` between ``least`` and ``most``.

    Attributes:
        least: Workers that are always there.
        most: Workers at most.
        photos: Pending photos that are worth a worker.
        poll: Seconds between two looks.
        cool_down: Seconds that fewer workers must have been enough before any are stopped.
    """

    least: int = 2
    most: int = 20
    photos: int = 200
    poll: float = 15.0
    cool_down: float = 300.0


@dataclass(slots=True)
class Outcome:
    """What became of it.

    Attributes:
        waits: Seconds from arrival to the end of the analysis, of interactive photos.
        interactive_done: When the last of them was, seconds from midnight.
        backfill: Photos of the backfill that are done.
        backfill_done: When the last of them was.
        worker_seconds: Paid for, starting included.
        most_workers: At the same time.
        expired: Leases that ran out because their holder had died.
    """

    waits: list[float] = field(default_factory=list)
    interactive_done: float = 0.0
    backfill: int = 0
    backfill_done: float = 0.0
    worker_seconds: float = 0.0
    most_workers: int = 0
    expired: int = 0

    def wait(self, share: float) -> float:
        """The wait that so large a share of the photos did not exceed."""
        return sorted(self.waits)[math.ceil(share * len(self.waits)) - 1] if self.waits else 0.0


@dataclass(slots=True, eq=False)
class _Running:
    """A worker and what it holds, in the order of claiming."""

    since: float
    held: deque[Photo] = field(default_factory=deque)
    gone: bool = False


class Simulation:
    """One run; `run` it once."""

    def __init__(self, worker: Worker, scaling: Scaling, *, seed: int = 1) -> None:
        self.now = 0.0
        self.outcome = Outcome()
        self._worker = worker
        self._scaling = scaling
        self._random = Random(seed)
        self._queue = Queue(self._random)
        self._workers: list[_Running] = []
        self._idle: list[_Running] = []
        self._wanted: deque[tuple[float, int]] = deque()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._coming: Iterator[list[Photo]] = iter(())
        self._over = False

    def run(self, coming: Iterator[list[Photo]], *, until: float = DAY) -> Outcome:
        """Let everything happen, until all is done and at least until then."""
        self._coming = coming
        for _ in range(self._scaling.least):
            self._start(after=0.0)
        self._next_arrival()
        self._scale()
        while not (self._over and self.now >= until and not self._queue.pending):
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        for worker in self._workers:
            self._stop(worker)
        return self.outcome

    def _after(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), happen))

    def _next_arrival(self) -> None:
        photos = next(self._coming, None)
        if photos is None:
            self._over = True
            return
        self._after(photos[0].arrived - self.now, lambda: self._arrive(photos))

    def _arrive(self, photos: list[Photo]) -> None:
        self._queue.add(photos)
        self._wake()
        self._next_arrival()

    def _wake(self) -> None:
        """New work is announced to all; who idles takes it."""
        while self._idle and self._queue.waiting:
            self._work(self._idle.pop())

    def _work(self, worker: _Running) -> None:
        """Claim what there is room for, and look at the next few."""
        idled = not worker.held
        while AHEAD - len(worker.held) >= CLAIM_FROM and self._queue.waiting:
            worker.held.extend(self._queue.claim(min(CLAIM, AHEAD - len(worker.held))))
        if not worker.held:
            self._idle.append(worker)
            return
        together = min(TOGETHER, len(worker.held))
        seconds = max(together / self._worker.rate, self._worker.alone if idled else 0) * self._random.uniform(0.8, 1.2)
        self._after(seconds, lambda: self._finish(worker, together))

    def _finish(self, worker: _Running, together: int) -> None:
        if worker.gone:
            return
        for _ in range(together):
            photo = worker.held.popleft()
            if photo.lane == INTERACTIVE:
                self.outcome.waits.append(self.now - photo.arrived)
                self.outcome.interactive_done = self.now
            else:
                self.outcome.backfill += 1
                self.outcome.backfill_done = self.now
        self._queue.leased -= together
        self._work(worker)

    def _start(self, *, after: float) -> None:
        worker = _Running(self.now)
        self._workers.append(worker)
        self.outcome.most_workers = max(self.outcome.most_workers, len(self._workers))
        self._after(after, lambda: self._get_ready(worker))
        if math.isfinite(self._worker.life):
            self._after(after + self._random.expovariate(1 / self._worker.life), lambda: self._die(worker))

    def _get_ready(self, worker: _Running) -> None:
        if not worker.gone:
            self._work(worker)

    def _die(self, worker: _Running) -> None:
        """Another one takes its place; what it held waits until the leases have run out."""
        if worker.gone:
            return
        self._remove(worker)
        self._start(after=self._worker.start_up)
        if worker.held:
            self.outcome.expired += len(worker.held)
            self._after(LEASE * self._random.uniform(0.75, 1), lambda: self._give_back(worker))

    def _give_back(self, worker: _Running) -> None:
        self._queue.put_back(worker.held)
        self._wake()

    def _remove(self, worker: _Running) -> None:
        self._stop(worker)
        self._workers.remove(worker)
        self._idle = [other for other in self._idle if other is not worker]

    def _stop(self, worker: _Running) -> None:
        worker.gone = True
        self.outcome.worker_seconds += self.now - worker.since

    def _scale(self) -> None:
        """More at once, twice as many or four more at most; fewer when fewer were enough all the time."""
        rules, count = self._scaling, len(self._workers)
        wanted = min(rules.most, max(rules.least, math.ceil(self._queue.pending / rules.photos)))
        self._wanted.append((self.now, wanted))
        while self._wanted[0][0] < self.now - rules.cool_down:
            self._wanted.popleft()
        for _ in range(min(wanted, max(2 * count, count + 4)) - count):
            self._start(after=self._worker.start_up)
        for _ in range(count - max(each for _, each in self._wanted)):
            youngest = self._workers[-1]
            self._remove(youngest)
            self._give_back(youngest)
        self._after(rules.poll, self._scale)


def simulate(load: Load, worker: Worker, scaling: Scaling, *, seed: int = 1) -> Outcome:
    """Simulate one day, and as long after it as there is work."""
    return Simulation(worker, scaling, seed=seed).run(arrivals(load, Random(seed)))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A day to try."""

    name: str
    load: Load
    worker: Worker
    scaling: Scaling = Scaling()


HOSTED = Load(libraries=10_000, photos=30)
MILLION = replace(HOSTED, backfill=1_000_000)
AT_HOME = Load(libraries=1, photos=30, backfill=1_000_000, backfill_rate=30)


def scenarios(*, rate: float, at_home: float) -> list[Scenario]:
    """The days of docs/capacity.md.

    Args:
        rate: Photos a second of a worker that has two cores for itself.
        at_home: Photos a second of the embedded gallery, where two cores do everything.
    """
    worker = Worker(rate)
    mortal = replace(worker, life=HOUR)
    return [
        Scenario("no backfill", HOSTED, worker),
        Scenario("a backfill of a million", MILLION, worker),
        Scenario("a backfill, each worker dies once an hour", MILLION, mortal),
        Scenario("the same, and only one is always there", MILLION, mortal, Scaling(least=1)),
        Scenario("a backfill, five minutes to start a worker", MILLION, replace(worker, start_up=5 * 60)),
        Scenario("a backfill, five workers at most", MILLION, worker, Scaling(most=5)),
        Scenario("embedded, one library", AT_HOME, Worker(at_home, start_up=0), Scaling(least=1, most=1)),
    ]
