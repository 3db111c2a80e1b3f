"""The owners of what we show, over their internal HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import ValidationError

from gallery.search.errors import OwnerUnavailableError
from gallery.search.facts import AnalysisAnswer, AnalysisFacts, Facts, PeopleAnswer, PhotoAnswer, PhotoFacts

Answer = TypeVar("Answer", bound=Facts)


class HttpOwners:
    """Asks for many photos in one request."""

    def __init__(self, *, metadata: httpx.AsyncClient, ml_worker: httpx.AsyncClient) -> None:
        self._metadata = metadata
        self._ml_worker = ml_worker

    async def photos(self, library_id: UUID, photo_ids: Sequence[UUID]) -> Mapping[UUID, PhotoFacts]:
        """The catalogue's current state; those that are gone are left out."""
        answer = await _ask(self._metadata, f"{_of(library_id)}/photos/query", photo_ids, PhotoAnswer)
        return {photo.id: photo for photo in answer.photos}

    async def analyses(self, library_id: UUID, photo_ids: Sequence[UUID]) -> Mapping[UUID, AnalysisFacts]:
        """What the machine found; those not analysed yet are left out."""
        answer = await _ask(self._ml_worker, f"{_of(library_id)}/photos/query", photo_ids, AnalysisAnswer)
        return {photo.id: photo for photo in answer.photos}

    async def name(self, library_id: UUID, person_id: UUID) -> str | None:
        """The person's current name."""
        answer = await _ask(self._metadata, f"{_of(library_id)}/people/query", [person_id], PeopleAnswer)
        return next((person.name for person in answer.people if person.id == person_id), None)


def _of(library_id: UUID) -> str:
    return f"/internal/v1/libraries/{library_id}"


async def _ask(client: httpx.AsyncClient, path: str, ids: Sequence[UUID], kind: type[Answer]) -> Answer:
    question: dict[str, Any] = {"ids": [str(each) for each in ids]}
    try:
        response = await client.post(path, json=question)
        response.raise_for_status()
        return kind.model_validate_json(response.content)
    except (httpx.HTTPError, ValidationError) as error:
        # The error's own text may hold what was answered; its kind is enough.
        raise OwnerUnavailableError(
            f"the owner of {path.rpartition('/')[0][-20:]} gave no answer to use: {type(error).__name__}"
        ) from error
