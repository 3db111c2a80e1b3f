"""A profile: which technology stands behind each port, as the settings choose.

Nothing else knows which profile it runs in. Technologies are imported when they are chosen: their clients are extras,
and some take a second to load.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from psycopg.errors import DiskFull
from pydantic import ByteSize, Field, SecretStr

from gallery.adapters.elastic_settings import ElasticSettings
from gallery.adapters.findings import demand
from gallery.adapters.in_place_blobs import InPlaceBlobs
from gallery.adapters.in_place_rules import AllowedPlaces
from gallery.adapters.in_place_settings import InPlaceSettings
from gallery.adapters.kafka_settings import KafkaSettings
from gallery.adapters.qdrant_settings import QdrantSettings
from gallery.adapters.s3_settings import S3Settings
from gallery.events.topics import CATALOGUE, Topic
from gallery.ports.blobs import Blobs
from gallery.ports.bus import Bus
from gallery.ports.direct_uploads import DirectUploads
from gallery.ports.elsewhere import ReferringBlobs
from gallery.ports.search_index import SearchIndex
from gallery.ports.vectors import Vectors
from gallery.runtime import metrics, partitions
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.errors import DatabaseNoSpaceError, GalleryError
from gallery.runtime.migrations import check, migrate
from gallery.runtime.neighbours import NeighbourSettings, Service, client
from gallery.runtime.outbox import begin_epoch_after_restore
from gallery.runtime.process import ProcessSettings
from gallery.runtime.settings import Kind, Settings, load

if TYPE_CHECKING:
    from gallery.adapters.s3_bucket import S3Bucket

PRODUCERS: Mapping[Topic, str] = {topic: entry.producer.replace("-", "_") for topic, entry in CATALOGUE.items()}
"""The schema whose outbox holds each topic."""


class NoDatabaseError(GalleryError):
    """A process of its own needs a database that others can reach, too: set GALLERY_DATABASE_URL."""


class BlobStore(StrEnum):
    """Where originals and renditions lie."""

    LOCAL = "local"
    S3 = "s3"


class Carrier(StrEnum):
    """What facts travel by."""

    POSTGRES = "postgres"
    KAFKA = "kafka"


class Index(StrEnum):
    """What search matches in."""

    POSTGRES = "postgres"
    ELASTICSEARCH = "elasticsearch"


class VectorStore(StrEnum):
    """Where the neighbours of a face are looked for."""

    QDRANT_EDGE = "qdrant_edge"
    QDRANT = "qdrant"


class ProfileSettings(Settings):
    """One choice for each port; the defaults are those of one machine."""

    data: Path = Field(
        default=Path("~/.local/share/smart-gallery"),
        title="Data folder",
        description="Everything that is kept on this machine is below it.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        title="Database",
        description="URL of a PostgreSQL 18 to use; without it one is kept inside the data folder.",
    )
    blobs: BlobStore = Field(
        default=BlobStore.LOCAL,
        title="Blobs",
        description="Where originals and renditions lie: local, in the data folder, or s3.",
    )
    keep_free: ByteSize = Field(
        default=ByteSize(512 * 2**20),
        ge=0,
        title="Room to leave",
        description="No file is stored in the data folder while less than this is free on its disk, so that the"
        " database, whose log alone may grow so large, can go on. Bytes; suffixes such as 500MB and 8GiB are"
        " understood.",
    )
    bus: Carrier = Field(
        default=Carrier.POSTGRES,
        title="Bus",
        description="What facts travel by: postgres, for services that share a database, or kafka.",
    )
    search_index: Index = Field(
        default=Index.POSTGRES, title="Search index", description="What search matches in: postgres or elasticsearch."
    )
    vectors: VectorStore = Field(
        default=VectorStore.QDRANT_EDGE,
        title="Vectors",
        description="Where faces find their neighbours: qdrant_edge, in the data folder, or qdrant, a server.",
    )


class Profile:
    """Opens what stands behind each port."""

    def __init__(self, choices: ProfileSettings, *, kinds: Sequence[type[Settings]]) -> None:
        """Keep the choices.

        Args:
            choices: One for each port.
            kinds: Every class that reads the same settings file.
        """
        self.choices = choices
        self._kinds = kinds

    @classmethod
    def read(cls, *own: type[Settings]) -> "Profile":
        """Read the choices of a process whose service has settings of its own.

        Raises:
            SettingsError: They cannot be used.
        """
        kinds = (*KINDS, *own)
        return cls(load(ProfileSettings, beside=kinds), kinds=kinds)

    def settings(self, kind: type[Kind]) -> Kind:
        """Read other settings of the same file; the data folder is that of the profile.

        Raises:
            SettingsError: They cannot be used.
        """
        given = {"data": self.choices.data} if "data" in kind.model_fields else {}
        return load(kind, beside=self._kinds, given=given)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.choices.data.expanduser()

    @property
    def url(self) -> str:
        """Of the database.

        Raises:
            NoDatabaseError: None is set.
        """
        if self.choices.database_url is None:
            raise NoDatabaseError("a process of its own needs a database that others reach, too: GALLERY_DATABASE_URL")
        return self.choices.database_url.get_secret_value()

    @asynccontextmanager
    async def database(self, service: str) -> AsyncIterator[Database]:
        """Open a service's place in the database, and make room there for the facts of the days to come.

        Raises:
            NoDatabaseError: None is set.
            StaleSchemaError: It has to be migrated first.
        """
        await check(self.url, schema=service, packages=[_package(service)])
        async with (
            Database.open(self.url, schema=service) as database,
            background(**{f"{service}_partitions": partitions.keep_renewing(database)}),
        ):
            yield database

    async def migrate(self, service: str) -> None:
        """Bring a service's schema up to date, and make room there for today's facts.

        Raises:
            NoDatabaseError: None is set.
            StaleSchemaError: It is newer than this program.
            DatabaseNoSpaceError: There is no room for that.
        """
        try:
            await migrate(self.url, schema=service, packages=[_package(service)])
            async with Database.open(self.url, schema=service, size=1) as database:
                await partitions.renew(database)
                await begin_epoch_after_restore(database)
        except DiskFull as error:
            raise DatabaseNoSpaceError("no space left for the database: make room and start again") from error

    @asynccontextmanager
    async def bus(self, service: str) -> AsyncIterator[Bus]:
        """Open the bus for a service, which keeps its own place.

        Raises:
            UnfitEngineError: There is none that will do.
        """
        if self.choices.bus is Carrier.KAFKA:
            from gallery.adapters import kafka_probe
            from gallery.adapters.kafka_bus import KafkaBus

            settings = self.settings(KafkaSettings)
            demand(await kafka_probe.probe(settings.cluster, topics=kafka_probe.topics_of(service)))
            yield KafkaBus(settings.cluster, member=settings.kafka_member)
        else:
            from gallery.adapters.postgres_bus import PostgresBus

            async with PostgresBus.open(self.url, home=service, producers=PRODUCERS) as bus:
                yield bus

    @asynccontextmanager
    async def blobs(self, *, tried: bool = False) -> AsyncIterator[ReferringBlobs]:
        """Open the store of originals and renditions, and what is needed for originals that stay elsewhere.

        Args:
            tried: Whether to try first, with small objects that are removed again, all that keeps originals safe.

        Raises:
            UnfitEngineError: There is none that will do.
            PlacesError: The setting ``in_place`` cannot be used.
        """
        places = self.settings(InPlaceSettings)
        allowed = AllowedPlaces(places.in_place)
        if self.choices.blobs is BlobStore.S3:
            allowed.refuse_bucket(self.settings(S3Settings).s3_bucket)
        async with self._store(tried=tried) as store:
            with closing(InPlaceBlobs(store, allowed=allowed, open_bucket=partial(_bucket_of_others, places))) as blobs:
                yield blobs

    @asynccontextmanager
    async def _store(self, *, tried: bool) -> AsyncIterator[Blobs]:
        if self.choices.blobs is BlobStore.S3:
            from gallery.adapters import s3_probe
            from gallery.adapters.s3_blobs import S3Blobs
            from gallery.adapters.s3_bucket import S3Bucket

            settings = self.settings(S3Settings)
            with s3_probe.looked_at(settings) as trial:
                demand([await s3_probe.reach(trial)])
                if tried:
                    demand(each for each in await s3_probe.probe(trial) if not each.passing)
            with closing(S3Bucket(settings)) as bucket:
                yield S3Blobs(bucket)
        else:
            from gallery.adapters.local_blobs import LocalBlobs

            blobs = LocalBlobs(self.folder / "blobs", keep_free=self.choices.keep_free)
            with metrics.sampled(partial(_sample_room, blobs)):
                yield blobs

    @asynccontextmanager
    async def direct_uploads(self) -> AsyncIterator[DirectUploads | None]:
        """Open the store for what clients send to it themselves; None where they cannot reach it."""
        settings = self.settings(S3Settings)
        if self.choices.blobs is BlobStore.S3 and settings.within_reach:
            from gallery.adapters.s3_bucket import S3Bucket
            from gallery.adapters.s3_direct_uploads import S3DirectUploads

            with closing(S3Bucket(settings)) as bucket:
                yield S3DirectUploads(bucket)
        else:
            yield None

    @asynccontextmanager
    async def search_index(self) -> AsyncIterator[SearchIndex]:
        """Open the index that search projects its documents to.

        Raises:
            UnfitEngineError: There is none that will do.
        """
        if self.choices.search_index is Index.ELASTICSEARCH:
            from gallery.adapters import elastic_probe
            from gallery.adapters.elastic_search_index import ElasticSearchIndex

            settings = self.settings(ElasticSettings)
            demand(await elastic_probe.probe(settings))
            async with ElasticSearchIndex.open(settings) as index:
                yield index
        else:
            from gallery.adapters.postgres_search_index import PostgresSearchIndex

            async with PostgresSearchIndex.open(self.url) as index:
                yield index

    @asynccontextmanager
    async def search_index_anew(self) -> AsyncIterator[None]:
        """Have the index made of what is put while the block is open; that of Postgres is written over in place."""
        if self.choices.search_index is Index.ELASTICSEARCH:
            from gallery.adapters.elastic_search_index import ElasticSearchIndex

            async with ElasticSearchIndex.open(self.settings(ElasticSettings)) as index, index.made_anew():
                yield
        else:
            yield

    @asynccontextmanager
    async def vectors(self) -> AsyncIterator[Vectors]:
        """Open the vector index.

        Raises:
            UnfitEngineError: There is none that will do.
        """
        if self.choices.vectors is VectorStore.QDRANT:
            from gallery.adapters import qdrant_probe
            from gallery.adapters.qdrant_vectors import QdrantVectors

            settings = self.settings(QdrantSettings)
            demand([await qdrant_probe.probe(settings)])
            async with QdrantVectors.open(settings) as vectors:
                yield vectors
        else:
            from gallery.adapters.qdrant_edge_vectors import QdrantEdgeVectors

            async with QdrantEdgeVectors(self.folder / "vectors") as edge:
                yield edge

    def neighbour(self, service: Service) -> httpx.AsyncClient:
        """Make a client of another service."""
        return client(self.settings(NeighbourSettings).of(service))


def _bucket_of_others(places: InPlaceSettings, name: str) -> "S3Bucket":
    from gallery.adapters.s3_bucket import S3Bucket

    return S3Bucket(places.of_bucket(name))


async def _sample_room(blobs: Blobs) -> list[metrics.Sample]:
    room = await blobs.room()
    return [] if room is None else [metrics.FREE_SPACE.at(room)]


def _package(service: str) -> str:
    """Schema, package and service have one name; the package carries the migrations."""
    return f"gallery.{service}"


KINDS: tuple[type[Settings], ...] = (
    ProfileSettings,
    ProcessSettings,
    NeighbourSettings,
    KafkaSettings,
    S3Settings,
    ElasticSettings,
    QdrantSettings,
    InPlaceSettings,
)
"""Every class that reads the settings file of a process."""
