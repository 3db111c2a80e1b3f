"""The search service over a real Postgres and an index, without its loops: a test takes each step itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from httpx import AsyncClient
from support.search_owners import FakeOwners

from gallery.events.v1.search_pb2 import PhotoIndexed
from gallery.ports.search_index import SearchIndex
from gallery.runtime import partitions
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.runtime.http import create_app
from gallery.runtime.migrations import migrate
from gallery.search.analyser import Analyser
from gallery.search.documents import Composer
from gallery.search.domain import Change
from gallery.search.http import router
from gallery.search.indexing import Indexing
from gallery.search.owners import HttpOwners
from gallery.search.searching import Search
from gallery.search.store import Store

LIBRARY = UUID(int=0xA)
ANNA, BEN = UUID(int=0xB), UUID(int=0xC)
LEASE = timedelta(seconds=20)


@dataclass
class Bench:
    """The service, what it stands on, and what it asks."""

    database: Database
    index: SearchIndex
    owners: FakeOwners = field(default_factory=FakeOwners)

    @property
    def store(self) -> Store:
        return Store(self.database)

    def indexing(self) -> Indexing:
        owners = HttpOwners(metadata=self.owners.metadata(), ml_worker=self.owners.ml_worker())
        composer = Composer(Analyser("english"))
        return Indexing(pending=self.store, owners=owners, index=self.index, composer=composer, filling=timedelta(0))

    async def note(self, *photos: UUID, revision: int = 1) -> None:
        async with self.database.transaction() as tx:
            await self.store.note_changed(tx, [Change(LIBRARY, photo, revision) for photo in photos])

    async def indexed(self) -> list[tuple[UUID, int]]:
        """What PhotoIndexed has said so far, in the order of writing."""
        facts = []
        async with self.database.read() as connection:
            rows = await (await connection.execute("SELECT data FROM outbox ORDER BY epoch, xid, seq")).fetchall()
        for row in rows:
            fact = PhotoIndexed.FromString(row["data"])
            facts.append((UUID(fact.photo_id), fact.catalogue_revision))
        return facts

    async def changed(self, *photos: UUID) -> None:
        """Index these photos as they are."""
        await self.note(*photos)
        while await self.indexing().step():
            pass

    async def name(self, person: UUID, name: str | None, *, revision: int = 1) -> None:
        async with self.database.transaction() as tx:
            await self.store.put_person(tx, library_id=LIBRARY, person_id=person, revision=revision, name=name)


@dataclass
class Client:
    """Asks the service."""

    http: AsyncClient

    async def get(self, query: str, **params: Any) -> dict[str, Any]:
        path = f"/internal/v1/libraries/{LIBRARY}/search"
        response = await self.http.get(path, params={"q": query, **params})
        answer: dict[str, Any] = response.json() | {"http": response.status_code}
        return answer

    async def ids(self, query: str) -> list[int]:
        answer = await self.get(query)
        assert answer["http"] == 200, answer
        return [UUID(photo["id"]).int for photo in answer["photos"]]


@asynccontextmanager
async def running_bench(database_url: str, index: SearchIndex) -> AsyncIterator[Bench]:
    """The service's tables in this database, over this index."""
    await migrate(database_url, schema="search", packages=["gallery.search"])
    async with Database.open(database_url, schema="search") as database:
        await partitions.renew(database)
        yield Bench(database, index)


@asynccontextmanager
async def asking(bench: Bench) -> AsyncIterator[Client]:
    """Somebody who asks the service."""
    search = Search(index=bench.index, photos=bench.store, analyser=Analyser("english"))
    app = create_app(title="search", routers=[router(search=search, store=bench.store)])
    async with AsyncClient(transport=AsgiTransport(app), base_url="http://search") as http:
        yield Client(http)


def face(person: UUID | None) -> dict[str, Any]:
    return {"person_id": str(person) if person else None, "state": "assigned" if person else "unassigned"}


async def fill(bench: Bench) -> None:
    """Four photos, newest last, of two named people."""
    own = bench.owners
    lisbon = {"latitude": 38.71, "longitude": -9.14, "altitude": None}
    own.add(UUID(int=1), file="trip/beach_dog.jpg", taken_at="2023-07-01T10:00:00", faces=[face(ANNA)])
    own.add(
        UUID(int=2),
        file="IMG_1.jpg",
        taken_at="2024-05-01T10:00:00",
        faces=[face(ANNA), face(BEN)],
        gps=lisbon,
        place={"city": "Lisbon", "country": "Portugal"},
    )
    own.add(UUID(int=3), file="IMG_2.jpg", taken_at="2024-05-09T23:30:00", camera="Google Pixel 8")
    own.add(UUID(int=4), file="IMG_2_1.jpg", taken_at="2024-05-10T00:00:00", faces=[face(None)] * 3)
    own.tags = {UUID(int=3): [("golden retriever", 0.7), ("beach", 0.2)], UUID(int=4): [("Egyptian cat", 0.9)]}
    await bench.name(ANNA, "Anna Berg")
    await bench.name(BEN, "Ben Berg")
    await bench.changed(*own.photos)
