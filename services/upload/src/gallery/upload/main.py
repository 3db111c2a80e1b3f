"""The upload service, put together."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from fastapi import FastAPI

from gallery.ports.blobs import Blobs
from gallery.runtime import metrics
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.http import create_app
from gallery.runtime.logs import get_logger
from gallery.upload.audit import Audit
from gallery.upload.audit_store import PostgresAudits, PostgresFaults
from gallery.upload.http import create_router, create_upkeep_router
from gallery.upload.quotas import Quotas, quota_router
from gallery.upload.settings import UploadSettings
from gallery.upload.store import PostgresIntents, PostgresOriginals
from gallery.upload.uploads import Sweeper, Uploads

SERVICE = "upload"
log = get_logger(__name__)

LONGEST_PUT = timedelta(days=1)
"""What was begun before that will not be ended: no request lives so long, no signed address is valid so long."""

AUDIT_EVERY = timedelta(minutes=5)
"""How often is looked whether there is something to read back; never at the start, when others are in a hurry."""
AUDIT_SHARE = 4
"""Of the time one part reads and the others rest, so that people are hardly delayed."""


@asynccontextmanager
async def serving(*, settings: UploadSettings, database: Database, blobs: Blobs) -> AsyncIterator[FastAPI]:
    """Serve the internal interface while the block is open; remains of dead processes are swept before it opens."""
    originals, intents = PostgresOriginals(database), PostgresIntents(database)
    audits, faults = PostgresAudits(database), PostgresFaults(database)
    sweeper = Sweeper(blobs=blobs, intents=intents)
    uploads = Uploads(blobs=blobs, originals=originals, intents=intents, largest_file=settings.largest_file)
    audit = Audit(blobs=blobs, audits=audits, faults=faults, budget=settings.audit_budget, hour=settings.audit_hour)

    await sweeper.sweep()
    with metrics.sampled(audits.sample), metrics.sampled(faults.sample):
        async with background(
            alive=intents.hold(),
            sweep=_sweep(sweeper, blobs, every=settings.sweep_every),
            audit=_audit(audit),
        ):
            routers = [
                create_router(uploads=uploads, originals=originals, blobs=blobs),
                create_upkeep_router(originals=originals, faults=faults, audits=audits, blobs=blobs),
                quota_router(Quotas(database)),
            ]
            yield create_app(title="Smart Gallery upload", routers=routers, ready=database.ready)


async def _sweep(sweeper: Sweeper, blobs: Blobs, *, every: timedelta) -> None:
    while True:
        await asyncio.sleep(every.total_seconds())
        try:
            gone = await sweeper.sweep() + await blobs.sweep(older_than=LONGEST_PUT)
        except Exception:
            log.exception("sweeping failed, it is tried again")
        else:
            log.info("swept interrupted uploads", count=gone)


async def _audit(audit: Audit) -> None:
    pause = AUDIT_EVERY.total_seconds()
    while True:
        await asyncio.sleep(pause)
        pause, began = AUDIT_EVERY.total_seconds(), time.monotonic()
        try:
            if await audit.slice(now=datetime.now(UTC)):
                pause = (AUDIT_SHARE - 1) * (time.monotonic() - began)
        except Exception:
            log.exception("originals could not be read back, it is tried again")
