"""The table of work on paper: lanes, libraries, and claims that are fair to both, as `claim_work` makes them."""

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

INTERACTIVE, BACKFILL = 0, 1


class Photo(NamedTuple):
    """One photo, from its arrival in the queue."""

    arrived: float
    library: int
    lane: int


class Waiting:
    """Photos of one lane that nobody works on, by library in their order."""

    def __init__(self) -> None:
        self.libraries: dict[int, deque[Photo]] = {}
        self.count = 0

    def add(self, photos: Sequence[Photo]) -> None:
        """Put new ones behind the others."""
        for photo in photos:
            self.libraries.setdefault(photo.library, deque()).append(photo)
        self.count += len(photos)

    def put_back(self, photos: Sequence[Photo]) -> None:
        """Put older ones before the others."""
        for photo in reversed(photos):
            self.libraries.setdefault(photo.library, deque()).appendleft(photo)
        self.count += len(photos)

    def take(self, count: int, random: Random) -> list[Photo]:
        """The first of each library in random order, then the second of each, and so on."""
        taken: list[Photo] = []
        while len(taken) < count and self.libraries:
            left = count - len(taken)
            for library in random.sample(list(self.libraries), min(left, len(self.libraries))):
                photos = self.libraries[library]
                taken.append(photos.popleft())
                if not photos:
                    del self.libraries[library]
        self.count -= len(taken)
        return taken


class Queue:
    """The table of work."""

    def __init__(self, random: Random) -> None:
        self.lanes = (Waiting(), Waiting())
        self.leased = 0
        self._random = random

    @property
    def waiting(self) -> int:
        """Photos that can be claimed."""
        return self.lanes[INTERACTIVE].count + self.lanes[BACKFILL].count

    @property
    def pending(self) -> int:
        """Rows of the table."""
        return self.waiting + self.leased

    def add(self, photos: Sequence[Photo]) -> None:
        """Take in photos of one lane."""
        if photos:
            self.lanes[photos[0].lane].add(photos)

    def put_back(self, photos: Sequence[Photo]) -> None:
        """Take back what was claimed and not done."""
        for lane, waiting in enumerate(self.lanes):
            waiting.put_back([photo for photo in photos if photo.lane == lane])
        self.leased -= len(photos)

    def claim(self, limit: int) -> list[Photo]:
        """Three slots in four to the interactive lane, by chance, while both lanes have something."""
        first, second = (min(limit, lane.count) for lane in self.lanes)
        if first and second:
            places = [(turn - self._random.random(), INTERACTIVE) for turn in range(1, first + 1)]
            places += [(3 * (turn - self._random.random()), BACKFILL) for turn in range(1, second + 1)]
            second = sum(lane for _, lane in sorted(places)[:limit])
            first = min(limit - second, first)
        claimed = self.lanes[INTERACTIVE].take(first, self._random) + self.lanes[BACKFILL].take(second, self._random)
        self.leased += len(claimed)
        return claimed
