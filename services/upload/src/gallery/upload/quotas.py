"""How much a library may hold.

The counts are kept by a trigger, in the transaction that makes an original; what passes a limit there is rolled back.
So a limit holds to the photo, however many processes take in at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gallery.runtime.connection import Row
from gallery.runtime.database import Database
from gallery.runtime.sql import Queries
from gallery.upload.errors import QuotaReachedError

queries = Queries.load("gallery.upload")

MOST = 2**62
"""Of what a column holds, half: a file more does not overflow the sum."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a library holds and may hold; None is no limit.

    Attributes:
        bytes: Of originals.
    """

    photos: int = 0
    bytes: int = 0
    most_photos: int | None = None
    most_bytes: int | None = None


class Quotas:
    """The limits of libraries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, library_id: UUID) -> Holding:
        """Return what a library holds and may hold."""
        async with self._database.read() as connection:
            row = await (await connection.execute(queries.select_quota, {"library_id": library_id})).fetchone()
        return Holding(**row) if row else Holding()

    async def change(self, library_id: UUID, limits: Mapping[str, int | None]) -> Holding:
        """Limit a library in ``photos``, ``bytes`` or both, or no longer (None); what it holds beyond that stays."""
        wish = {"library_id": library_id, "photos": None, "bytes": None, **limits, "named": list(limits)}
        async with self._database.transaction() as tx:
            row = await (await tx.execute(queries.change_quota, wish)).fetchone()
        assert row is not None  # noqa: S101  # an upsert returns one
        return Holding(**row)


def refuse_beyond_quota(passed: Row | None) -> None:
    """Refuse with the limit that a library passes, if it passes one.

    Raises:
        QuotaReachedError: It does.
    """
    if passed is None:
        return
    limits = [f"{passed[f'most_{what}']} {what}" for what in ("photos", "bytes") if passed[f"most_{what}"] is not None]
    raise QuotaReachedError(
        f"the library may hold {' and '.join(limits)}, and has no place for this file:"
        " raise its quota (gallery backfill quota), then send it again"
    )


class Limits(BaseModel):
    """A library's limits; null is none, and one that is not named stays as it is."""

    photos: int | None = Field(default=None, ge=0, le=MOST)
    bytes: int | None = Field(default=None, ge=0, le=MOST)


def quota_router(quotas: Quotas) -> APIRouter:
    """Build the routes that show and change a library's limits."""
    router = APIRouter(prefix="/internal/v1/libraries/{library_id}")

    @router.get("/quota")
    async def show(library_id: UUID) -> dict[str, Any]:
        return _shown(await quotas.of(library_id))

    @router.patch("/quota")
    async def change(library_id: UUID, wish: Limits) -> dict[str, Any]:
        return _shown(await quotas.change(library_id, wish.model_dump(exclude_unset=True)))

    return router


def _shown(holding: Holding) -> dict[str, Any]:
    return {
        "held": {"photos": holding.photos, "bytes": holding.bytes},
        "quota": {"photos": holding.most_photos, "bytes": holding.most_bytes},
    }
