"""How far the looking at photos is in a library, and how it is slowed and stopped."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gallery.ml_worker.store import ANALYSE
from gallery.runtime.leases import Lane
from gallery.runtime.shares import HEAVIEST, Shares


class Change(BaseModel):
    """What is to be another than before."""

    paused: bool | None = None
    weight: int | None = Field(default=None, ge=1, le=HEAVIEST)


def backfill_router(shares: Shares) -> APIRouter:
    """Build the routes that show and change a library's share."""
    router = APIRouter(prefix="/internal/v1/libraries/{library_id}")

    @router.get("/backfill")
    async def show(library_id: UUID) -> dict[str, Any]:
        return await _shown(shares, library_id)

    @router.patch("/backfill")
    async def change(library_id: UUID, wish: Change) -> dict[str, Any]:
        await shares.change(library_id, weight=wish.weight, paused=wish.paused)
        return await _shown(shares, library_id)

    return router


async def _shown(shares: Shares, library_id: UUID) -> dict[str, Any]:
    share = await shares.of(library_id)
    lanes = {}
    for lane, pace in (await shares.pace(library_id, stage=ANALYSE)).items():
        left = None if share.paused and lane is Lane.BACKFILL and pace.pending else pace.left
        lanes[lane] = {
            "pending": pace.pending,
            "done_per_minute": round(pace.per_minute, 1),
            "seconds_left": None if left is None else round(left.total_seconds()),
        }
    return {"library": library_id, **asdict(share), "lanes": lanes}
