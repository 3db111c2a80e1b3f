"""The upload service, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI

from gallery.ports.blobs import Blobs
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.http import create_app
from gallery.runtime.logs import get_logger
from gallery.upload.http import create_router
from gallery.upload.quotas import Quotas, quota_router
from gallery.upload.settings import UploadSettings
from gallery.upload.store import PostgresIntents, PostgresOriginals
from gallery.upload.uploads import Sweeper, Uploads

SERVICE = "upload"
log = get_logger(__name__)

LONGEST_PUT = timedelta(days=1)
"""What was begun before that will not be ended: no request lives so long, no signed address is valid so long."""


@asynccontextmanager
async def serving(*, settings: UploadSettings, database: Database, blobs: Blobs) -> AsyncIterator[FastAPI]:
    """Serve the internal interface while the block is open; remains of dead processes are swept before it opens."""
    originals = PostgresOriginals(database)
    intents = PostgresIntents(database)
    sweeper = Sweeper(blobs=blobs, intents=intents)
    uploads = Uploads(blobs=blobs, originals=originals, intents=intents, largest_file=settings.largest_file)

    await sweeper.sweep()
    async with background(
        alive=intents.hold(),
        sweep=_sweep(sweeper, blobs, every=settings.sweep_every),
    ):
        routers = [create_router(uploads=uploads, originals=originals, blobs=blobs), quota_router(Quotas(database))]
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
