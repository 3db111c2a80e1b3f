"""How the whole gallery is: put together from what each service says of itself."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

from gallery.gateway.neighbours import Neighbour, Neighbours
from gallery.runtime.http import ProblemError

Document = dict[str, Any]

NOT_FOUND = 404


class Overview:
    """State, checks and repairs over all services."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    async def status(self, library: UUID) -> Document:
        """Return the ledger, what is still on its way, and the packs in use."""
        near = self._neighbours
        ledger, search, worker = await asyncio.gather(
            near.metadata.ask("GET", "/ledger", library=library),
            near.search.ask("GET", "/status", library=library),
            near.ml_worker.ask("GET", "/status", library=library),
        )
        return {**ledger, "search": search, **worker}

    async def verify(self, library: UUID) -> Document:
        """Check every object and every row; ``findings`` is empty when all is well."""
        near = self._neighbours
        originals, derived, ledger = await asyncio.gather(
            near.upload.ask("POST", "/verify", library=library),
            near.ml_worker.ask("POST", "/verify", library=library),
            near.metadata.ask("POST", "/reconcile", library=library),
        )
        findings = [
            {"service": name, **finding}
            for name, answer in (("upload", originals), ("ml-worker", derived), ("metadata", ledger))
            for finding in _listed(answer.get("findings", []))
        ]
        return {"objects": originals["objects"] + derived.get("objects", 0), "findings": findings}

    async def audit(self, library: UUID) -> Document:
        """How far the audit of originals is, and what was found broken when it was last read."""
        answer: Document = await self._neighbours.upload.ask("GET", "/audit", library=library)
        return answer

    async def resync(self, library: UUID) -> Document:
        """Have the owners say their current facts again."""
        said = {
            owner.name: await owner.ask("POST", "/resync", library=library)
            for owner in (self._neighbours.upload, self._neighbours.metadata, self._neighbours.ml_worker)
        }
        return {"said_again": said}

    async def dead_letters(self) -> Document:
        """List what could not be handled, of all services, oldest first."""
        answers = await asyncio.gather(*(each.ask("GET", "/dead-letters") for each in self._consumers()))
        letters = [
            {"service": service.name, **letter}
            for service, answer in zip(self._consumers(), answers, strict=True)
            for letter in answer["dead_letters"]
        ]
        return {"dead_letters": sorted(letters, key=lambda letter: str(letter.get("at", "")))}

    async def dead_letter(self, letter_id: UUID) -> Document:
        """Return one with its payload and traceback.

        Raises:
            ProblemError: 404, no service has it.
        """
        return await self._first_that_has("GET", f"/dead-letters/{letter_id}")

    async def replay(self, letter_id: UUID) -> Document:
        """Hand one to its consumer again.

        Raises:
            ProblemError: 404, no service has it.
        """
        return await self._first_that_has("POST", f"/dead-letters/{letter_id}/replay")

    async def _first_that_has(self, method: str, path: str) -> Document:
        for service in self._consumers():
            with suppress(_NotHereError):
                return {"service": service.name, **await _ask_or_miss(service, method, path)}
        raise ProblemError(NOT_FOUND, "unknown_dead_letter", "There is no dead letter of this id.")

    def _consumers(self) -> tuple[Neighbour, ...]:
        """Upload consumes nothing, so it has no dead letters."""
        return self._neighbours.metadata, self._neighbours.ml_worker, self._neighbours.search


class _NotHereError(Exception):
    """This service has no such thing; another may."""


async def _ask_or_miss(service: Neighbour, method: str, path: str) -> Document:
    try:
        answer: Document = await service.ask(method, path)
    except ProblemError as error:
        if error.status == NOT_FOUND:
            raise _NotHereError from error
        raise
    return answer


def _listed(findings: Any) -> Iterator[Document]:
    """Findings come as objects, or from reconciliation as sentences."""
    for finding in findings:
        yield finding if isinstance(finding, dict) else {"kind": "ledger", "detail": str(finding)}
