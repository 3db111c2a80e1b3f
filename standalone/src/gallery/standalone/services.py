"""The five services, wired together: HTTP without a network between them, facts through their outboxes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from gallery.adapters.profile import Profile
from gallery.gateway import main as gateway
from gallery.gateway.settings import GatewaySettings
from gallery.metadata import main as metadata
from gallery.metadata.settings import MetadataSettings
from gallery.ml_worker import main as ml_worker
from gallery.ml_worker.settings import MlWorkerSettings
from gallery.ports.blobs import Blobs
from gallery.ports.elsewhere import ReferringBlobs
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.neighbours import client
from gallery.runtime.settings import Setting, describe, load
from gallery.search import main as search
from gallery.search.settings import SearchSettings
from gallery.standalone.parts import KINDS, SERVICES
from gallery.standalone.settings import StandaloneSettings
from gallery.upload import main as upload
from gallery.upload.settings import UploadSettings

NAMES = ("upload", "metadata", "ml_worker", "search", "gateway")
"""Of the services, in the order in which they start."""


def _effective(settings: StandaloneSettings) -> list[Setting]:
    """Every setting once, though several services may read the same one."""
    others = [load(kind, beside=KINDS) for kind in SERVICES]
    named = {setting.name: setting for each in (*others, settings) for setting in describe(each)}
    return list(named.values())


def _client(app: FastAPI) -> httpx.AsyncClient:
    return client("http://service", transport=AsgiTransport(app))


@asynccontextmanager
async def _upload(profile: Profile, blobs: ReferringBlobs) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        profile.database("upload") as database,
        profile.direct_uploads() as store,
        upload.serving(
            settings=profile.settings(UploadSettings), database=database, blobs=blobs, store=store, elsewhere=blobs
        ) as app,
        _client(app) as to_upload,
    ):
        yield to_upload


@asynccontextmanager
async def _metadata(
    profile: Profile, blobs: Blobs, *, to_upload: httpx.AsyncClient
) -> AsyncIterator[httpx.AsyncClient]:
    settings = profile.settings(MetadataSettings)
    async with (
        profile.database("metadata") as database,
        profile.bus("metadata") as bus,
        metadata.consuming(settings=settings, database=database, blobs=blobs, bus=bus, upload=to_upload),
        metadata.serving(settings=settings, database=database) as app,
        _client(app) as to_metadata,
    ):
        yield to_metadata


@asynccontextmanager
async def _ml_worker(profile: Profile, blobs: Blobs) -> AsyncIterator[httpx.AsyncClient]:
    settings = profile.settings(MlWorkerSettings)
    async with (
        profile.database("ml_worker") as database,
        profile.bus("ml_worker") as bus,
        ml_worker.consuming(database=database, bus=bus),
        ml_worker.serving(settings=settings, database=database, blobs=blobs) as app,
        _client(app) as to_ml_worker,
    ):
        yield to_ml_worker


@asynccontextmanager
async def _search(
    profile: Profile, *, to_metadata: httpx.AsyncClient, to_ml_worker: httpx.AsyncClient
) -> AsyncIterator[httpx.AsyncClient]:
    settings = profile.settings(SearchSettings)
    async with (
        profile.database("search") as database,
        profile.bus("search") as bus,
        profile.search_index() as index,
        search.consuming(
            settings=settings, database=database, bus=bus, index=index, metadata=to_metadata, ml_worker=to_ml_worker
        ),
        search.serving(settings=settings, database=database, index=index) as app,
        _client(app) as to_search,
    ):
        yield to_search


@asynccontextmanager
async def gallery(settings: StandaloneSettings, *, profile: Profile) -> AsyncIterator[FastAPI]:
    """Yield the public app of a gallery whose services all work while the block is open.

    Args:
        settings: Of the whole tree, as the command line and the file gave them.
        profile: What it stands on; every schema is up to date.
    """
    async with (
        profile.blobs() as blobs,
        _upload(profile, blobs) as to_upload,
        _metadata(profile, blobs, to_upload=to_upload) as to_metadata,
        _ml_worker(profile, blobs) as to_ml_worker,
        _search(profile, to_metadata=to_metadata, to_ml_worker=to_ml_worker) as to_search,
        profile.database("gateway") as database,
        gateway.serving(
            settings=profile.settings(GatewaySettings),
            database=database,
            services={
                "upload": to_upload,
                "metadata": to_metadata,
                "ml_worker": to_ml_worker,
                "search": to_search,
            },
            data=profile.folder,
            effective_settings=_effective(settings),
        ) as app,
    ):
        yield app
