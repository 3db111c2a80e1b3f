"""The five services, wired together: HTTP without a network between them, facts through their outboxes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from gallery.gateway import main as gateway
from gallery.gateway.settings import GatewaySettings
from gallery.metadata import main as metadata
from gallery.metadata.settings import MetadataSettings
from gallery.ml_worker import main as ml_worker
from gallery.ml_worker.settings import MlWorkerSettings
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
async def gallery(settings: StandaloneSettings, *, url: str, folder: DataFolder) -> AsyncIterator[FastAPI]:
    """Yield the public app of a gallery whose services all work while the block is open.

    Args:
        settings: Of the whole tree, as the command line and the file gave them.
        url: Of a database that ``parts.prepare`` has brought up to date.
        folder: Claimed by this process.
    """
    blobs = parts.blobs(folder.blobs)
    async with (
        parts.database(url, "upload") as upload_database,
        parts.database(url, "metadata") as metadata_database,
        parts.database(url, "ml_worker") as worker_database,
        parts.database(url, "search") as search_database,
        parts.database(url, "gateway") as gateway_database,
        parts.bus(url, "metadata") as metadata_bus,
        parts.bus(url, "ml_worker") as worker_bus,
        parts.bus(url, "search") as search_bus,
        parts.search_index(url) as index,
        upload.running(
            settings=load(UploadSettings, beside=KINDS), database=upload_database, blobs=blobs
        ) as upload_app,
        _client(upload_app) as to_upload,
        ml_worker.running(
            settings=load(MlWorkerSettings, beside=KINDS, given={"data": folder.root}),
            database=worker_database,
            blobs=blobs,
            bus=worker_bus,
        ) as worker_app,
        _client(worker_app) as to_worker,
        metadata.running(
            settings=load(MetadataSettings, beside=KINDS),
            database=metadata_database,
            blobs=blobs,
            bus=metadata_bus,
            upload=to_upload,
        ) as metadata_app,
        _client(metadata_app) as to_metadata,
        search.running(
            settings=load(SearchSettings, beside=KINDS),
            database=search_database,
            bus=search_bus,
            index=index,
            metadata=to_metadata,
            ml_worker=to_worker,
        ) as search_app,
        _client(search_app) as to_search,
        gateway.running(
            settings=load(GatewaySettings, beside=KINDS),
            database=gateway_database,
            services={
                "upload": to_upload,
                "metadata": to_metadata,
                "ml_worker": to_worker,
                "search": to_search,
            },
            data=folder.root,
            effective_settings=_effective(settings),
        ) as app,
        background(
            upload=partitions.keep_renewing(upload_database),
            metadata=partitions.keep_renewing(metadata_database),
            ml_worker=partitions.keep_renewing(worker_database),
            search=partitions.keep_renewing(search_database),
        ),
    ):
        yield app
