"""Dead letters over HTTP, the same at every service that consumes."""

import base64
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from gallery.runtime import dead_letters
from gallery.runtime.database import Database
from gallery.runtime.http import ProblemError


def dead_letters_router(database: Database) -> APIRouter:
    """Build the routes that list, show and replay what one service could not handle."""
    router = APIRouter(prefix="/internal/v1/dead-letters")

    @router.get("")
    async def listing() -> dict[str, Any]:
        return {"dead_letters": await dead_letters.listing(database)}

    @router.get("/{letter_id}")
    async def show(letter_id: UUID) -> dict[str, Any]:
        letter = await dead_letters.show(database, letter_id)
        if letter is None:
            raise _unknown()
        return letter | {"data": base64.b64encode(letter["data"]).decode()}

    @router.post("/{letter_id}/replay")
    async def replay(letter_id: UUID) -> dict[str, int]:
        replayed = await dead_letters.replay(database, letter_id)
        if not replayed:
            raise _unknown()
        return {"replayed": replayed}

    return router


def _unknown() -> ProblemError:
    return ProblemError(404, "unknown_dead_letter", "There is no dead letter of this id.")
