"""The ML worker, put together: one process that serves and consumes, and one for each role that computes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from gallery.events.topics import Topic
from gallery.ml_worker.analysing import AnalyseRole
from gallery.ml_worker.analysis import Analysis
from gallery.ml_worker.backfill import backfill_router
from gallery.ml_worker.choice import choose
from gallery.ml_worker.costs import Costs
from gallery.ml_worker.events import handlers
from gallery.ml_worker.http import create_router, create_status_router
from gallery.ml_worker.media.renderer import TARGET, TIME_LIMIT, JailedRenderer
from gallery.ml_worker.people.role import PeopleRole
from gallery.ml_worker.people.store import PeopleStore
from gallery.ml_worker.sessions import open_runtime
from gallery.ml_worker.settings import MlWorkerSettings
from gallery.ml_worker.store import ANALYSE, PEOPLE, PhotoStore
from gallery.ports.blobs import Blobs
from gallery.ports.bus import Bus
from gallery.ports.vectors import Vectors
from gallery.runtime import metrics
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer
from gallery.runtime.database import Database
from gallery.runtime.dead_letters_http import dead_letters_router
from gallery.runtime.http import create_app
from gallery.runtime.jail import Jail
from gallery.runtime.limits import Limits

SERVICE = "ml_worker"
SUBSCRIPTION = "ml-worker"


@asynccontextmanager
async def serving(*, settings: MlWorkerSettings, database: Database, blobs: Blobs) -> AsyncIterator[FastAPI]:
    """Serve the internal interface while the block is open.

    Raises:
        PackError: A pack asked for by name cannot be had.
    """
    choice = await asyncio.to_thread(choose, settings)
    photos = PhotoStore(database)
    people = PeopleStore(database, pack=choice.faces.name)

    routers = [
        create_router(database=database, photos=photos, people=people, blobs=blobs),
        create_status_router(photos=photos, people=people, blobs=blobs, choice=choice),
        backfill_router(photos.shares, Costs(database)),
        dead_letters_router(database),
    ]
    with metrics.sampled(partial(photos.queue.sample, (ANALYSE, PEOPLE))):
        yield create_app(title="Smart Gallery ML worker", routers=routers, ready=database.ready)


@asynccontextmanager
async def consuming(*, database: Database, bus: Bus) -> AsyncIterator[None]:
    """Turn facts into work while the block is open."""
    consumer = Consumer(
        name=SUBSCRIPTION,
        bus=bus,
        database=database,
        topics=(Topic.UPLOADS, Topic.PEOPLE),
        handlers=handlers(PhotoStore(database)),
    )
    async with background(ml_worker_consumer=consumer.run()):
        yield


async def analyse(*, settings: MlWorkerSettings, database: Database, blobs: Blobs) -> None:
    """Look at photos until cancelled; a process of its own.

    Raises:
        PackError: A pack asked for by name cannot be had.
        RuntimeUnavailableError: Neither can what networks should run on.
    """
    from gallery.ml_worker.looking import Looking

    choice = await asyncio.to_thread(choose, settings)
    runtime = open_runtime(settings.runtime, threads=settings.model_threads)
    looker = await asyncio.to_thread(Looking.load, choice.shelf, runtime, faces=choice.faces, tags=choice.tags)
    photos = PhotoStore(database)
    await photos.ask_for_outdated(choice.names)
    limits = Limits(memory=settings.decode_memory, cpu=TIME_LIMIT, wall=TIME_LIMIT)
    async with Jail(children=settings.decoders, target=TARGET, limits=limits) as jail:
        analysis = Analysis(
            database=database,
            photos=photos,
            blobs=blobs,
            renderer=JailedRenderer(jail, max_pixels=settings.max_pixels),
            packs=choice.names,
        )
        async with AnalyseRole(photos=photos, analysis=analysis, looker=looker, threads=settings.model_threads) as role:
            await role.run()


async def people(*, settings: MlWorkerSettings, database: Database, vectors: Vectors) -> None:
    """Group faces into people until cancelled; a process of its own.

    Raises:
        PackError: A pack asked for by name cannot be had.
    """
    choice = await asyncio.to_thread(choose, settings)
    await PeopleRole(database=database, vectors=vectors, pack=choice.faces).run()
