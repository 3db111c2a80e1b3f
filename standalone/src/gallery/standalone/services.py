"""The five services, wired together: HTTP without a network between them, facts through their outboxes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from gallery.gateway import main as gateway
from gallery.gateway.settings import GatewaySettings
from gallery.metadata import main as metadata
from gallery.metadata.settings import MetadataSettings
from gallery.ml_worker import main as ml_worker
from gallery.ml_worker.settings import MlWorkerSettings
from gallery.ports.blobs import Blobs
from gallery.runtime import partitions
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.background import background
from gallery.runtime.http import forward_request_id
from gallery.runtime.settings import Setting, Settings, describe, load
from gallery.search import main as search
from gallery.search.settings import SearchSettings
from gallery.standalone import parts
from gallery.standalone.data_folder import DataFolder
from gallery.standalone.settings import StandaloneSettings
from gallery.upload import main as upload
from gallery.upload.settings import UploadSettings

KINDS: tuple[type[Settings], ...] = (
    StandaloneSettings,
    UploadSettings,
    MetadataSettings,
    MlWorkerSettings,
    SearchSettings,
    GatewaySettings,
)
"""Every class that reads the one settings file."""

PATIENCE_SECONDS = 60
"""For one answer of a neighbour; renditions and batches take milliseconds."""


def _client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=AsgiTransport(app),
        base_url="http://service",
        timeout=PATIENCE_SECONDS,
        event_hooks={"request": [forward_request_id]},
    )


def _effective(settings: StandaloneSettings) -> list[Setting]:
    """Every setting once, though several services may read the same one."""
    others = [load(kind, beside=KINDS) for kind in KINDS if kind is not StandaloneSettings]
    named = {setting.name: setting for each in (*others, settings) for setting in describe(each)}
    return list(named.values())


@asynccontextmanager
async def _upload(url: str, *, blobs: Blobs) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        parts.database(url, "upload") as database,
        background(upload_partitions=partitions.keep_renewing(database)),
        upload.serving(settings=load(UploadSettings, beside=KINDS), database=database, blobs=blobs) as app,
        _client(app) as client,
    ):
        yield client


@asynccontextmanager
async def _metadata(url: str, *, blobs: Blobs, to_upload: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    settings = load(MetadataSettings, beside=KINDS)
    async with (
        parts.database(url, "metadata") as database,
        parts.bus(url, "metadata") as bus,
        background(metadata_partitions=partitions.keep_renewing(database)),
        metadata.consuming(settings=settings, database=database, blobs=blobs, bus=bus, upload=to_upload),
        metadata.serving(settings=settings, database=database) as app,
        _client(app) as client,
    ):
        yield client


@asynccontextmanager
async def _ml_worker(url: str, *, blobs: Blobs, data: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = load(MlWorkerSettings, beside=KINDS, given={"data": data})
    async with (
        parts.database(url, "ml_worker") as database,
        parts.bus(url, "ml_worker") as bus,
        background(ml_worker_partitions=partitions.keep_renewing(database)),
        ml_worker.consuming(database=database, bus=bus),
        ml_worker.serving(settings=settings, database=database, blobs=blobs) as app,
        _client(app) as client,
    ):
        yield client


@asynccontextmanager
async def _search(
    url: str, *, to_metadata: httpx.AsyncClient, to_ml_worker: httpx.AsyncClient
) -> AsyncIterator[httpx.AsyncClient]:
    settings = load(SearchSettings, beside=KINDS)
    async with (
        parts.database(url, "search") as database,
        parts.bus(url, "search") as bus,
        parts.search_index(url) as index,
        background(search_partitions=partitions.keep_renewing(database)),
        search.consuming(
            settings=settings, database=database, bus=bus, index=index, metadata=to_metadata, ml_worker=to_ml_worker
        ),
        search.serving(settings=settings, database=database, index=index) as app,
        _client(app) as client,
    ):
        yield client


@asynccontextmanager
async def gallery(settings: StandaloneSettings, *, url: str, folder: DataFolder) -> AsyncIterator[FastAPI]:
    """Yield the public app of a gallery whose services all work while the block is open.

    Args:
        settings: Of the whole tree, as the command line and the file gave them.
        url: Of a database that ``parts.prepare`` has brought up to date.
        folder: Claimed by this process.
    """
    blobs = parts.blobs(folder.blobs)
    async with (
        _upload(url, blobs=blobs) as to_upload,
        _metadata(url, blobs=blobs, to_upload=to_upload) as to_metadata,
        _ml_worker(url, blobs=blobs, data=folder.root) as to_ml_worker,
        _search(url, to_metadata=to_metadata, to_ml_worker=to_ml_worker) as to_search,
        parts.database(url, "gateway") as database,
        gateway.serving(
            settings=load(GatewaySettings, beside=KINDS),
            database=database,
            services={
                "upload": to_upload,
                "metadata": to_metadata,
                "ml_worker": to_ml_worker,
                "search": to_search,
            },
            data=folder.root,
            effective_settings=_effective(settings),
        ) as app,
    ):
        yield app
