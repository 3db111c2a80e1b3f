"""Dead letters after a run of faults, asked for and replayed as a person does it."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from support.distributed import BIN, TOKEN
from support.fault_checks import LOOK_EVERY_SECONDS, SETTLES_WITHIN_SECONDS, Checker
from support.poison import GARBAGE, MISTAKE, SERVICES

REPLAYED_GARBAGE = 3
"""It comes back; more than twenty such in a row would stop the consumer, as they should."""

PARKED = """
    SELECT DISTINCT ON (key) id, key, cause FROM {schema}.dead_letters
    WHERE state = 'parked' ORDER BY key, seq
"""
"""The first of each key that waits, or is being handled again."""
DEAD = "SELECT id, event_id, data, cause, at FROM {schema}.dead_letters WHERE state = 'dead' AND replay_id IS NULL"


@dataclass
class Letters:
    """What was set aside.

    Attributes:
        checker: Asks the database.
        struck: Photos that meet the mistake, by service.
        garbage: Ids of facts that are none.
        innocent: Causes of what was parked beside those; an engine that is away for long is one.
    """

    checker: Checker
    struck: Mapping[str, Collection[UUID]]
    garbage: Collection[UUID]
    innocent: list[str] = field(default_factory=list)

    @property
    def all_struck(self) -> list[UUID]:
        """Photos that meet the mistake."""
        return [photo for photos in self.struck.values() for photo in photos]

    def wait_for_poison(self) -> None:
        """Wait until all poison is set aside, with its cause."""
        self._expect(lambda: all(self._all_of(service) for service in SERVICES))

    def replay_parked(self) -> None:
        """Have all that is parked handled again, and see it handled."""
        for service in ("metadata", "ml_worker", "search"):
            parked = self._parked(service)
            self.innocent += [row["cause"] for row in parked if MISTAKE not in row["cause"]]
            for row in parked:
                assert self._command("show", row["id"])["cause"] == row["cause"]
                assert self._command("replay", row["id"])["replayed"] > 0
        self._expect(lambda: not any(self._parked(service) for service in ("metadata", "ml_worker", "search")))

    def replay_garbage(self) -> None:
        """Have some garbage handled again; it comes back with its cause."""
        for service in SERVICES:
            before = self._dead(service)[:REPLAYED_GARBAGE]
            for letter in before:
                assert self._command("replay", letter["id"])["replayed"] == 1
            self._expect(lambda service=service, before=before: _came_back(before, self._dead(service)))  # type: ignore[misc]

    def check(self) -> None:
        """All garbage is there, once for each who heard it, and nothing else is."""
        for service in SERVICES:
            letters = self._dead(service)
            assert {letter["event_id"] for letter in letters} == set(self.garbage)
            assert {bytes(letter["data"]) for letter in letters} <= {GARBAGE}
            assert len(letters) == len(self.garbage)
        assert self.checker.rows("SELECT cause FROM search.dead_letters") == []

    def _all_of(self, service: str) -> bool:
        parked = {UUID(row["key"]) for row in self._parked(service) if MISTAKE in row["cause"]}
        dead = {letter["event_id"] for letter in self._dead(service)}
        return parked >= set(self.struck[service]) and dead >= set(self.garbage)

    def _parked(self, service: str) -> list[dict[str, Any]]:
        return self.checker.rows(PARKED.format(schema=service))

    def _dead(self, service: str) -> list[dict[str, Any]]:
        return self.checker.rows(DEAD.format(schema=service))

    def _command(self, word: str, letter: UUID) -> dict[str, Any]:
        """Give a command of ``gallery dead-letters``."""
        address = ["--server", self.checker.gallery.gateway]
        program = [str(BIN / "gallery"), *address, "dead-letters", word, str(letter), "--json"]
        answer = subprocess.run(program, env={**os.environ, "GALLERY_TOKEN": TOKEN}, capture_output=True, check=True)
        document: dict[str, Any] = json.loads(answer.stdout)
        return document

    def _expect(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SETTLES_WITHIN_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"dead letters: {[self._parked(service) for service in SERVICES]}"
            time.sleep(LOOK_EVERY_SECONDS)


def _came_back(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> bool:
    at = {letter["id"]: letter["at"] for letter in now}
    return all(letter["id"] in at and at[letter["id"]] > letter["at"] for letter in before)
