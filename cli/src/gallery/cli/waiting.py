"""The second half of an import: waiting until every photo has ended, its faces are grouped, and search has them."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from gallery.cli.connection import Connection
from gallery.cli.errors import NoRoomError, UnreachableError
from gallery.cli.summary import Progress

IDS_A_QUESTION = 2000
ASK_EVERY_SECONDS = 0.2
ASK_AT_LEAST_EVERY_SECONDS = 2.0
"""A bar that stands still for longer looks stuck."""
PHOTOS_A_SECOND = 8
"""What two cores do; a guess is enough to choose a pause by."""
QUIET_FOR_SECONDS = 0.6
"""Longer than a fact may take to be noticed (half a second): who is quiet that long has nothing on its way."""

AWAY_FOR_SECONDS = 30
"""How long a gallery may be away, such as for a restart, before waiting for it ends."""

GROUPING = "grouping"
ENDED = ("done", "failed", "rejected")


class Waiting:
    """Watches the photos of one import; made before the first of them is sent.

    Args:
        connection: The gallery.
        progress: Shows a bar for each stage.
    """

    def __init__(self, connection: Connection, progress: Progress) -> None:
        self._connection = connection
        self._progress = progress
        self._before = _ended(connection.get("/status"))

    def until_ended(self, photos: Sequence[str], *, new: int) -> None:
        """Return once nothing of these photos is pending and the gallery is quiet.

        Args:
            photos: Ids of all that were found, those stored before included.
            new: How many of them this import brought.

        Raises:
            UnreachableError: The gallery went away and stayed away.
            NoRoomError: It waits for room, with photos pending.
        """
        if not photos:
            return
        self._wait_for_each(photos, new)
        self._wait_for_quiet(new)
        while self._wait_for_each(photos, new):  # that a grouping has changed after they had ended
            self._wait_for_quiet(new)

    def _wait_for_each(self, photos: Sequence[str], new: int) -> bool:
        """Wait for photos that have not ended; whether there were any."""
        waited = False
        for part in _slices(photos):
            while pending := self._patiently(partial(progress_of, self._connection, part))["pending"]:
                waited = True
                status = self._status()
                self._show(status, new)
                if status.get("room") == 0:
                    raise NoRoomError
                time.sleep(_pause(pending))
        return waited

    def _wait_for_quiet(self, new: int) -> None:
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET_FOR_SECONDS:
            status = self._status()
            self._show(status, new)
            if _is_busy(status):
                quiet_since = time.monotonic()
            time.sleep(ASK_EVERY_SECONDS)

    def _status(self) -> dict[str, Any]:
        return self._patiently(lambda: dict(self._connection.get("/status")))

    def _patiently(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        deadline = time.monotonic() + AWAY_FOR_SECONDS
        while True:
            try:
                return ask()
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(ASK_EVERY_SECONDS)

    def _show(self, status: dict[str, Any], new: int) -> None:
        """What others bring at the same time counts as well, so a bar may be ahead, never behind."""
        if not new:
            return
        for stage, ended in _ended(status).items():
            self._progress.show(stage, min(max(ended - self._before.get(stage, 0), 0), new), new)
        self._progress.show(GROUPING, 0 if _is_busy(status) else 1, 1)


def progress_of(connection: Connection, photos: Sequence[str]) -> dict[str, Any]:
    """Sum up how far photos are."""
    total: dict[str, Any] = {"pending": 0, "done": 0, "failed": 0, "rejected": []}
    for part in _slices(photos):
        answer = connection.ask("POST", "/photos/progress", json={"ids": part})
        total = {name: total[name] + answer[name] for name in total}
    return total


def _pause(pending: int) -> float:
    """Seconds until asking again: the more is left, the longer, since every answer costs the machine that works."""
    return min(max(pending / PHOTOS_A_SECOND / 4, ASK_EVERY_SECONDS), ASK_AT_LEAST_EVERY_SECONDS)


def _is_busy(status: dict[str, Any]) -> bool:
    """Whether faces wait for their group, or a changed group for the search index."""
    indexed = status["stages"].get("indexed", {}).get("pending", 0)
    return bool(status["grouping"]["pending"] or status["search"].get("pending") or indexed)


def _ended(status: dict[str, Any]) -> dict[str, int]:
    return {stage: sum(counts[state] for state in ENDED) for stage, counts in status["stages"].items()}


def _slices(photos: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(photos), IDS_A_QUESTION):
        yield list(photos[start : start + IDS_A_QUESTION])
