"""Composition of the metadata service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
from fastapi import FastAPI
from psycopg import Error

from gallery.events.topics import Topic
from gallery.metadata.events import Facts
from gallery.metadata.headers import Headers
from gallery.metadata.http import ledger_router, people_router, photos_router
from gallery.metadata.ledger import Ledger
from gallery.metadata.people import People
from gallery.metadata.photo_facts import PhotoFacts
from gallery.metadata.photos import Photos
from gallery.metadata.places import Places
from gallery.metadata.ports import Jail as HeaderJail
from gallery.metadata.settings import MetadataSettings
from gallery.metadata.uploads import HttpUploads
from gallery.ports.blobs import Blobs
from gallery.ports.bus import Bus
from gallery.runtime import metrics
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer
from gallery.runtime.database import Database
from gallery.runtime.dead_letters_http import dead_letters_router
from gallery.runtime.http import create_app
from gallery.runtime.jail import Jail, Limits
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

SERVICE = "metadata"
SUBSCRIPTION = "metadata"
TOPICS = (Topic.UPLOADS, Topic.ANALYSIS, Topic.SEARCH)
# A header takes milliseconds; two children keep one slow file from holding the others up.
CHILDREN = 2


@asynccontextmanager
async def serving(*, settings: MetadataSettings, database: Database) -> AsyncIterator[FastAPI]:
    """Serve the internal interface while the block is open."""
    photos = Photos(database)
    people = People(database=database)
    ledger = Ledger(database=database, stuck_after=settings.metadata_stuck_after)
    routers = [
        photos_router(photos),
        people_router(people),
        ledger_router(ledger, photos, people),
        dead_letters_router(database),
    ]
    with metrics.sampled(ledger.sample):
        yield create_app(title="Smart Gallery metadata", routers=routers, ready=database.ready)


@asynccontextmanager
async def consuming(
    *, settings: MetadataSettings, database: Database, blobs: Blobs, bus: Bus, upload: httpx.AsyncClient
) -> AsyncIterator[None]:
    """Follow the facts, and look now and then for what went missing, while the block is open."""
    async with header_jail(settings) as jail:
        headers = Headers(blobs=blobs, jail=jail, places=Places())
        facts = Facts(PhotoFacts(database=database, uploads=HttpUploads(upload), headers=headers))
        ledger = Ledger(database=database, stuck_after=settings.metadata_stuck_after)
        consumer = Consumer(name=SUBSCRIPTION, bus=bus, database=database, topics=TOPICS, handlers=facts.handlers())
        async with background(
            metadata_consumer=consumer.run(),
            metadata_reconciliation=reconcile_now_and_then(ledger, every=settings.metadata_stuck_after),
        ):
            yield


@asynccontextmanager
async def header_jail(settings: MetadataSettings) -> AsyncIterator[HeaderJail]:
    """Open the children that read headers."""
    limits = Limits(
        memory=settings.metadata_header_memory,
        cpu=settings.metadata_header_time,
        wall=5 * settings.metadata_header_time,
    )
    async with Jail(children=CHILDREN, target="gallery.metadata.header.child:describe", limits=limits) as jail:
        yield jail


async def reconcile_now_and_then(ledger: Ledger, *, every: timedelta) -> None:
    """Reconcile all libraries at the start and again each time this long has passed."""
    while True:
        try:
            await ledger.reconcile_all()
        except Error:
            log.exception("reconciliation failed, it is tried again")
        await asyncio.sleep(every.total_seconds())
