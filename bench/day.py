"""What arrives in a day: photos that people send, by the hours they keep, and a backfill."""

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from fair_queue import BACKFILL, INTERACTIVE, Photo

HOUR = 3600.0
DAY = 24 * HOUR

RHYTHM = (2, 1, 1, 1, 1, 2, 3, 4, 4, 4, 5, 5, 6, 6, 5, 5, 5, 6, 8, 10, 11, 10, 7, 4)
"""Uploads by hour of the day, as shares; assumed: people send in the evening."""

PEAK_TO_MEAN = max(RHYTHM) * 24 / sum(RHYTHM)


@dataclass(frozen=True, slots=True)
class Load:
    """What arrives in a day, seconds from midnight.

    Attributes:
        libraries: Of which people upload.
        photos: Sent by each of them in a day, on average.
        session: Photos that somebody sends in one go, on average.
        gap: Seconds between two photos of one session: a phone's uplink.
        backfill: Photos of one more library, which sends all of them.
        begins: When the backfill does.
        backfill_rate: Photos of it that arrive a second.
    """

    libraries: int
    photos: float
    session: float = 10.0
    gap: float = 1.5
    backfill: int = 0
    begins: float = 9 * HOUR
    backfill_rate: float = 200.0


def arrivals(load: Load, random: Random) -> Iterator[list[Photo]]:
    """Photos in order of arrival, those of one moment and lane together."""
    interactive = []
    for library in range(load.libraries):
        for _ in range(_poisson(load.photos / load.session, random)):
            (hour,) = random.choices(range(24), RHYTHM)
            start = (hour + random.random()) * HOUR
            count = math.ceil(random.expovariate(1 / load.session))
            interactive += [Photo(start + i * load.gap, library, INTERACTIVE) for i in range(count)]
    a_second = [
        [Photo(load.begins + second, load.libraries, BACKFILL)] * round(min(load.backfill_rate, load.backfill - sent))
        for second, sent in enumerate(_steps(load.backfill, load.backfill_rate))
    ]
    return heapq.merge(([photo] for photo in sorted(interactive)), a_second)


def _steps(total: float, step: float) -> Iterator[float]:
    return itertools.takewhile(lambda sent: sent < total, itertools.count(0, step))


def _poisson(mean: float, random: Random) -> int:
    """Knuth's way; fine for means of some tens."""
    limit, product, count = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count
