"""The composition root: the only place that puts the parts of search together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from gallery.ports.bus import Bus
from gallery.ports.search_index import SearchIndex
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer
from gallery.runtime.database import Database
from gallery.runtime.dead_letters_http import dead_letters_router
from gallery.runtime.http import create_app
from gallery.search.analyser import Analyser
from gallery.search.documents import Composer
from gallery.search.events import TOPICS, Listener
from gallery.search.http import router
from gallery.search.indexing import Indexing
from gallery.search.owners import HttpOwners
from gallery.search.searching import Search
from gallery.search.settings import SearchSettings
from gallery.search.store import Store

SERVICE = "search"


@asynccontextmanager
async def serving(*, settings: SearchSettings, database: Database, index: SearchIndex) -> AsyncIterator[FastAPI]:
    """Answer while the block is open."""
    store = Store(database)
    search = Search(index=index, photos=store, analyser=Analyser(settings.search_language))
    routers = [router(search=search, store=store), dead_letters_router(database)]
    yield create_app(title="Smart Gallery search", routers=routers, ready=database.ready)


@asynccontextmanager
async def consuming(
    *,
    settings: SearchSettings,
    database: Database,
    bus: Bus,
    index: SearchIndex,
    metadata: httpx.AsyncClient,
    ml_worker: httpx.AsyncClient,
) -> AsyncIterator[None]:
    """Listen, and keep the index as new as the catalogue, while the block is open."""
    store = Store(database)
    owners = HttpOwners(metadata=metadata, ml_worker=ml_worker)
    composer = Composer(Analyser(settings.search_language))
    indexing = Indexing(pending=store, owners=owners, index=index, composer=composer)
    listener = Listener(store=store, owners=owners, indexing=indexing)
    consumer = Consumer(name="search", bus=bus, database=database, topics=TOPICS, handlers=listener.handlers)
    async with background(search_consumer=consumer.run(), search_indexing=indexing.run()):
        yield
