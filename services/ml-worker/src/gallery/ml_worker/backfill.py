"""How far the looking at photos is in a library, and how it is slowed and stopped."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gallery.ml_worker.costs import Costs
from gallery.ml_worker.store import ANALYSE
from gallery.runtime.leases import Lane
from gallery.runtime.shares import HEAVIEST, Pace, Shares


class Change(BaseModel):
    """What is to be another than before."""

    paused: bool | None = None
    weight: int | None = Field(default=None, ge=1, le=HEAVIEST)


def backfill_router(shares: Shares, costs: Costs) -> APIRouter:
    """Build the routes that show and change a library's share, and show what its backfill has cost so far."""
    router = APIRouter(prefix="/internal/v1/libraries/{library_id}")

    async def shown(library_id: UUID) -> dict[str, Any]:
        share = await shares.of(library_id)
        paces = await shares.pace(library_id, stage=ANALYSE)
        lanes = {lane: _lane(pace, waits=share.paused and lane is Lane.BACKFILL) for lane, pace in paces.items()}
        cost = asdict(await costs.of(library_id))
        return {"library": library_id, **asdict(share), "lanes": lanes, "cost": cost}

    @router.get("/backfill")
    async def show(library_id: UUID) -> dict[str, Any]:
        return await shown(library_id)

    @router.patch("/backfill")
    async def change(library_id: UUID, wish: Change) -> dict[str, Any]:
        await shares.change(library_id, weight=wish.weight, paused=wish.paused)
        return await shown(library_id)

    return router


def _lane(pace: Pace, *, waits: bool) -> dict[str, Any]:
    left = None if waits and pace.pending else pace.left
    return {
        "pending": pace.pending,
        "done_per_minute": round(pace.per_minute, 1),
        "seconds_left": None if left is None else round(left.total_seconds()),
    }
