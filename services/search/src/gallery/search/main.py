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


@asynccontextmanager
async def running(
    *,
    settings: SearchSettings,
    database: Database,
    bus: Bus,
    index: SearchIndex,
    metadata: httpx.AsyncClient,
    ml_worker: httpx.AsyncClient,
) -> AsyncIterator[FastAPI]:
    """Listen, index and answer while the block is open."""
    analyser = Analyser(settings.search_language)
    store = Store(database)
    owners = HttpOwners(metadata=metadata, ml_worker=ml_worker)
    indexing = Indexing(pending=store, owners=owners, index=index, composer=Composer(analyser))
    listener = Listener(store=store, owners=owners, indexing=indexing)
    consumer = Consumer(name="search", bus=bus, database=database, topics=TOPICS, handlers=listener.handlers)
    search = Search(index=index, photos=store, analyser=analyser)
    routes = router(search=search, store=store, indexing=indexing)
    async with background(consumer=consumer.run(), indexing=indexing.run()):
        routers = [routes, dead_letters_router(database)]
        yield create_app(title="Gallery search", routers=routers, ready=store.ready)
