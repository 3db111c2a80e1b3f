"""The embedded profile: which technology stands behind each port.

Only this module constructs adapters. The roles that compute live in processes of their own and open the same parts.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from gallery.adapters.embedded_postgres import EmbeddedPostgres
from gallery.adapters.local_blobs import LocalBlobs
from gallery.adapters.postgres_bus import PostgresBus
from gallery.adapters.postgres_search_index import PostgresSearchIndex
from gallery.adapters.qdrant_edge_vectors import QdrantEdgeVectors
from gallery.events.topics import CATALOGUE, Topic
from gallery.runtime import partitions
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.runtime.outbox import begin_epoch_after_restore
from gallery.standalone.data_folder import DataFolder
from gallery.standalone.settings import StandaloneSettings

SCHEMAS: Mapping[str, str] = {
    "upload": "gallery.upload",
    "metadata": "gallery.metadata",
    "ml_worker": "gallery.ml_worker",
    "search": "gallery.search",
    "gateway": "gallery.gateway",
}
"""Each service's schema and the package that carries its migrations."""

PRODUCERS: Mapping[Topic, str] = {topic: entry.producer.replace("-", "_") for topic, entry in CATALOGUE.items()}
"""The schema whose outbox holds each topic."""


@asynccontextmanager
async def database_server(settings: StandaloneSettings, folder: DataFolder) -> AsyncIterator[str]:
    """Yield the URL of the database: the one that is set, or one kept in the data folder.

    Raises:
        DatabaseError: The embedded one does not open, or died and cannot be started again.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with EmbeddedPostgres.running(folder.postgres) as server, background(database=server.died()):
        yield server.url


async def prepare(url: str) -> None:
    """Bring every schema up to date and make room for today's facts."""
    for schema, package in SCHEMAS.items():
        await migrate(url, schema=schema, packages=[package])
        async with Database.open(url, schema=schema, size=1) as database:
            await partitions.renew(database)
            await begin_epoch_after_restore(database)


def database(url: str, schema: str) -> AbstractAsyncContextManager[Database]:
    """Open one service's place in the database."""
    return Database.open(url, schema=schema)


def bus(url: str, subscriber: str) -> AbstractAsyncContextManager[PostgresBus]:
    """Open the bus for one service, which keeps its own cursors."""
    return PostgresBus.open(url, home=subscriber, producers=PRODUCERS)


def blobs(folder: Path) -> LocalBlobs:
    """Open the store of originals and renditions."""
    return LocalBlobs(folder)


def search_index(url: str) -> AbstractAsyncContextManager[PostgresSearchIndex]:
    """Open the index that search projects its documents to."""
    return PostgresSearchIndex.open(url)


def vectors(folder: Path) -> AbstractAsyncContextManager[QdrantEdgeVectors]:
    """Open the vector index; it lives in a child process of its own."""
    return QdrantEdgeVectors(folder)
