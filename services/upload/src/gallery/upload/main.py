"""The upload service, put together."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from fastapi import FastAPI

from gallery.ports.blobs import Blobs
from gallery.ports.direct_uploads import DirectUploads
from gallery.ports.elsewhere import Elsewhere
from gallery.runtime import metrics
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.http import create_app
from gallery.runtime.logs import get_logger
from gallery.upload.audit import Audit
from gallery.upload.audit_store import PostgresAudits, PostgresFaults
from gallery.upload.direct import LIVES, DirectUploading
from gallery.upload.direct_http import create_direct_router
from gallery.upload.http import create_router, create_upkeep_router
from gallery.upload.in_place import InPlace
from gallery.upload.in_place_http import create_in_place_router
from gallery.upload.quotas import Quotas, quota_router
from gallery.upload.settings import UploadSettings
from gallery.upload.store import PostgresIntents, PostgresOriginals
from gallery.upload.transfers import PostgresTransfers
from gallery.upload.uploads import Sweeper, Uploads

SERVICE = "upload"
log = get_logger(__name__)

LONGEST_PUT = LIVES
"""What was begun before that will not be ended: no request lives so long, and no direct upload."""

AUDIT_EVERY = timedelta(minutes=5)
"""How often is looked whether there is something to read back; never at the start, when others are in a hurry."""
AUDIT_SHARE = 4
"""Of the time one part reads and the others rest, so that people are hardly delayed."""


@asynccontextmanager
async def serving(
    *,
    settings: UploadSettings,
    database: Database,
    blobs: Blobs,
    store: DirectUploads | None = None,
    elsewhere: Elsewhere | None = None,
) -> AsyncIterator[FastAPI]:
    """Serve the internal interface while the block is open; remains of dead processes are swept before it opens.

    Args:
        settings: The service's own.
        database: Its schema.
        blobs: Where originals are kept.
        store: The same, for clients that send them there themselves; None where they cannot.
        elsewhere: The same, for originals that stay in buckets of their owner; None where they cannot.
    """
    originals, intents = PostgresOriginals(database), PostgresIntents(database)
    audits, faults = PostgresAudits(database), PostgresFaults(database)
    sweeper = Sweeper(blobs=blobs, intents=intents)
    uploads = Uploads(blobs=blobs, originals=originals, intents=intents, largest_file=settings.largest_file)
    direct = None
    if store is not None:
        direct = DirectUploading(
            store=store,
            transfers=PostgresTransfers(database),
            blobs=blobs,
            originals=originals,
            intents=intents,
            largest_file=settings.largest_file,
        )
    in_place = None
    if elsewhere is not None:
        in_place = InPlace(
            elsewhere=elsewhere, blobs=blobs, originals=originals, intents=intents, largest_file=settings.largest_file
        )
    audit = Audit(blobs=blobs, audits=audits, faults=faults, budget=settings.audit_budget, hour=settings.audit_hour)

    await sweeper.sweep()
    with metrics.sampled(audits.sample), metrics.sampled(faults.sample):
        async with background(
            alive=intents.hold(),
            sweep=_sweep(sweeper, blobs, direct, every=settings.sweep_every),
            audit=_audit(audit),
        ):
            routers = [
                create_direct_router(direct),
                create_in_place_router(in_place),
                create_router(uploads=uploads, originals=originals, blobs=blobs),
                create_upkeep_router(originals=originals, faults=faults, audits=audits, blobs=blobs),
                quota_router(Quotas(database)),
            ]
            yield create_app(title="Smart Gallery upload", routers=routers, ready=database.ready)


async def _sweep(sweeper: Sweeper, blobs: Blobs, direct: DirectUploading | None, *, every: timedelta) -> None:
    while True:
        await asyncio.sleep(every.total_seconds())
        try:
            gone = await sweeper.sweep() + (await direct.sweep() if direct else 0)
            gone += await blobs.sweep(older_than=LONGEST_PUT)
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
