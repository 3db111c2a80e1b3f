"""The whole service over a real Postgres: from facts on the bus to answers over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest_asyncio
from httpx import AsyncClient
from support.search_owners import FakeOwners

from gallery.adapters.postgres_search_index import PostgresSearchIndex
from gallery.events.v1.search_pb2 import PhotoIndexed
from gallery.ports.search_index import Everything
from gallery.runtime import partitions
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.runtime.http import create_app
from gallery.runtime.migrations import migrate
from gallery.search.analyser import Analyser
from gallery.search.documents import Composer
from gallery.search.domain import Claim
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
    index: PostgresSearchIndex
    owners: FakeOwners = field(default_factory=FakeOwners)

    @property
    def store(self) -> Store:
        return Store(self.database)

    def indexing(self) -> Indexing:
        owners = HttpOwners(metadata=self.owners.metadata(), ml_worker=self.owners.ml_worker())
        composer = Composer(Analyser("english"))
        return Indexing(pending=self.store, owners=owners, index=self.index, composer=composer)

    async def note(self, *photos: UUID, revision: int = 1) -> None:
        async with self.database.transaction() as tx:
            for photo in photos:
                await self.store.note_changed(tx, library_id=LIBRARY, photo_id=photo, revision=revision)

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


@pytest_asyncio.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    await migrate(database_url, schema="search", packages=["gallery.search"])
    async with (
        Database.open(database_url, schema="search") as database,
        PostgresSearchIndex.open(database_url) as index,
    ):
        await partitions.renew(database)
        yield Bench(database, index)


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


@pytest_asyncio.fixture
async def client(bench: Bench) -> AsyncIterator[Client]:
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


async def test_the_language_over_real_documents(bench: Bench, client: Client) -> None:
    await fill(bench)
    expected = {
        "beach": [3, 1],
        "Beaches": [3, 1],
        "beahc": [3, 1],
        "nothinglikethis": [],
        "!!": [],
        "anna": [2, 1],
        "ánna": [2, 1],
        "person:anna": [2, 1],
        'person:"anna berg"': [2, 1],
        "person:berg": [2, 1],
        "person:ben": [2],
        "person:bena": [],
        f"person:{BEN}": [2],
        "person:anna -person:ben": [1],
        '"Ben Berg"': [2],
        "retrievers": [3],
        'tag:"golden retriever">0.6': [3],
        "tag:retriever>0.7": [],
        "tag:beach": [3],
        "-tag:beach": [4, 2, 1],
        "file:IMG_1": [2],
        "file:img": [4, 3, 2],
        "file:img_1.jpg": [2],
        "file:2": [4, 3],
        "img1": [4, 2],
        "camera:pixel": [3],
        "camera:pixle": [3],
        "lisbon": [2],
        "place:portugal": [2],
        "date:2024": [4, 3, 2],
        "date:2024-05-09": [3],
        "date:2024-05-01..2024-05-09": [3, 2],
        "date:..2023": [1],
        "uploaded:2025": [4, 3, 2, 1],
        "uploaded:2026": [],
        "faces:0": [3],
        "faces:>2": [4],
        "faces:1..2": [2, 1],
        "near:38.7,-9.1,5km": [2],
        "near:38.7,-9.1,1km": [],
        "type:photo": [4, 3, 2, 1],
        "type:video": [],
        "cat OR dog": [4, 1],
        "(cat OR dog) person:anna": [1],
        "-(cat OR dog) -file:img_1": [3],
    }
    assert {query: await client.ids(query) for query in expected} == expected


async def test_another_name_is_one_row_and_no_new_document(bench: Bench, client: Client) -> None:
    await fill(bench)
    before = await bench.indexed()
    await bench.name(ANNA, "Zoë Berg", revision=2)
    assert await client.ids("person:zoe") == [2, 1]
    assert await client.ids("person:anna") == []
    await bench.name(ANNA, None, revision=3)
    assert await client.ids("person:zoe") == []
    assert await bench.indexed() == before


async def test_an_older_name_never_wins(bench: Bench, client: Client) -> None:
    await fill(bench)
    await bench.name(ANNA, "Zoë", revision=5)
    await bench.name(ANNA, "Old", revision=4)
    assert await client.ids("person:old") == []


async def test_score_facets_and_total(bench: Bench, client: Client) -> None:
    await fill(bench)
    answer = await client.get("beach OR anna", limit=1)
    assert answer["total"] == 3
    assert answer["photos"] == [{"id": str(UUID(int=3)), "score": 0.2}]
    assert answer["facets"]["people"] == [
        {"id": str(ANNA), "name": "Anna Berg", "photos": 2},
        {"id": str(BEN), "name": "Ben Berg", "photos": 1},
    ]
    assert {"label": "golden retriever", "photos": 1} in answer["facets"]["tags"]
    assert answer["facets"]["years"] == [{"year": 2024, "photos": 2}, {"year": 2023, "photos": 1}]
    assert answer["took_ms"] > 0
    everything = await client.get("")
    assert {photo["score"] for photo in everything["photos"]} == {1.0}


async def test_a_mistake_in_a_query_has_its_position(client: Client) -> None:
    answer = await client.get("dog date:never")
    assert (answer["http"], answer["code"], answer["position"]) == (422, "bad_query", 9)
    assert answer["expected"].startswith("a year")


async def test_pages_show_everything_once_though_photos_come_and_go(bench: Bench, client: Client) -> None:
    for number in range(1, 8):
        bench.owners.add(UUID(int=number), taken_at=f"2024-01-0{number}T00:00:00")
    await bench.changed(*bench.owners.photos)
    first = await client.get("", limit=3)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    bench.owners.add(UUID(int=8), taken_at="2024-01-02T12:00:00", uploaded_at=tomorrow)
    del bench.owners.photos[UUID(int=3)]
    await bench.changed(UUID(int=8), UUID(int=3))
    assert await client.ids("") == [7, 6, 5, 4, 8, 2, 1]
    second = await client.get("", limit=3, cursor=first["next"])
    assert [UUID(photo["id"]).int for photo in second["photos"]] == [4, 2, 1]
    assert (second["total"], second["next"], second["facets"]) == (7, None, {})


async def test_a_hit_without_a_live_row_is_not_shown(bench: Bench, client: Client) -> None:
    await fill(bench)
    async with bench.database.transaction() as tx:
        await tx.execute("DELETE FROM documents WHERE photo_id = %s", [UUID(int=2)])
    answer = await client.get("")
    assert [UUID(photo["id"]).int for photo in answer["photos"]] == [4, 3, 1]


async def test_a_foreign_cursor_is_refused(bench: Bench, client: Client) -> None:
    await fill(bench)
    first = await client.get("", limit=1)
    for query, cursor in (("dog", first["next"]), ("", "nonsense")):
        answer = await client.get(query, cursor=cursor)
        assert (answer["http"], answer["code"]) == (422, "bad_cursor")


async def test_a_rebuild_gives_the_same_answers(bench: Bench, client: Client) -> None:
    await fill(bench)
    before = {query: await client.ids(query) for query in ("", "beach", "person:anna", "faces:>2")}
    await bench.index.delete(LIBRARY, list(bench.owners.photos))
    assert await client.ids("") == []
    answer = await client.http.post(f"/internal/v1/libraries/{LIBRARY}/rebuild")
    assert (answer.status_code, answer.json()) == (202, {"pending": 4})
    await bench.changed()
    assert {query: await client.ids(query) for query in before} == before
    status = await client.http.get(f"/internal/v1/libraries/{LIBRARY}/status")
    assert status.json() == {"pending": 0}


async def test_changes_of_one_photo_are_composed_once_with_the_newest_revision(bench: Bench) -> None:
    photo = UUID(int=1)
    for _ in range(5):
        bench.owners.add(photo)
    for revision in (3, 5, 4):
        await bench.note(photo, revision=revision)
    assert await bench.indexing().step()
    assert not await bench.indexing().step()
    assert await bench.indexed() == [(photo, 5)]


async def test_a_change_during_the_work_is_taken_again(bench: Bench) -> None:
    photo = UUID(int=1)
    bench.owners.add(photo)
    await bench.note(photo)
    bench.owners.hold = asyncio.Event()
    step = asyncio.create_task(bench.indexing().step())
    await bench.owners.asked.wait()
    bench.owners.add(photo, file="new.jpg")
    await bench.note(photo, revision=2)
    assert await bench.store.claim(limit=9, lease=LEASE) is None
    bench.owners.hold.set()
    await step
    assert await bench.indexing().step()
    assert await bench.indexed() == [(photo, 1), (photo, 2)]
    assert await bench.store.pending(LIBRARY) == 0


async def test_one_that_lost_its_taking_writes_nothing(bench: Bench) -> None:
    photo = UUID(int=1)
    bench.owners.add(photo)
    await bench.note(photo)
    slow = await bench.store.claim(limit=9, lease=timedelta(0))
    quick = await bench.store.claim(limit=9, lease=LEASE)
    assert slow
    assert quick
    facts = (
        await HttpOwners(metadata=bench.owners.metadata(), ml_worker=bench.owners.ml_worker()).photos(LIBRARY, [photo])
    )[photo]
    composer = Composer(Analyser("english"))

    async def settle(claim: Claim, file: str) -> None:
        changed = facts.model_copy(update={"file": file})
        composed = composer.compose(changed, None, library_id=LIBRARY, revision=claim.number)
        await bench.index.put([composed.document])
        await bench.store.settle(claim, [composed], [])

    await settle(quick, "newer.jpg")
    await settle(slow, "older.jpg")
    assert await bench.indexed() == [(photo, 1)]
    assert await bench.index.known(LIBRARY, ["file:newer", "file:older"]) == {"file:newer"}
    assert "file:newer" in (await bench.store.live(LIBRARY, [photo]))[photo].terms


async def test_nothing_is_lost_while_an_owner_is_away(bench: Bench) -> None:
    photo = UUID(int=1)
    bench.owners.add(photo)
    bench.owners.down = True
    await bench.note(photo)
    assert await bench.indexing().step()
    assert await bench.store.pending(LIBRARY) == 1
    assert not await bench.indexing().step(), "not before the pause is over"
    bench.owners.down = False
    async with bench.database.transaction() as tx:
        await tx.execute("UPDATE pending SET not_before = now()")
    assert await bench.indexing().step()
    assert await bench.indexed() == [(photo, 1)]


async def test_a_photo_that_spoils_its_batch_ends_up_alone(bench: Bench) -> None:
    good, bad = UUID(int=1), UUID(int=2)
    bench.owners.add(good)
    bench.owners.add(bad, uploaded_at="not a time")
    await bench.note(good, bad)
    for _ in range(6):
        async with bench.database.transaction() as tx:
            await tx.execute("UPDATE pending SET not_before = now()")
        await bench.indexing().step()
    assert await bench.indexed() == [(good, 1)]
    assert await bench.store.pending(LIBRARY) == 1


async def test_an_answer_older_than_the_fact_is_asked_for_again(bench: Bench) -> None:
    photo = UUID(int=1)
    bench.owners.add(photo)
    await bench.note(photo, revision=2)
    assert await bench.indexing().step()
    assert await bench.indexed() == []
    assert await bench.store.pending(LIBRARY) == 1


async def test_what_the_catalogue_no_longer_has_is_forgotten(bench: Bench) -> None:
    photo = UUID(int=1)
    bench.owners.add(photo)
    await bench.note(photo)
    await bench.indexing().step()
    del bench.owners.photos[photo]
    await bench.note(photo, revision=2)
    await bench.indexing().step()
    assert await bench.index.count(LIBRARY, Everything()) == 0
    assert await bench.store.live(LIBRARY, [photo]) == {}
    assert await bench.store.pending(LIBRARY) == 0


async def test_two_loops_share_the_work_and_do_it_once(bench: Bench) -> None:
    photos = [UUID(int=number) for number in range(1, 501)]
    for photo in photos:
        bench.owners.add(photo)
    await bench.note(*photos)

    async def work(loop: Indexing) -> None:
        while await loop.step():
            pass

    await asyncio.gather(work(bench.indexing()), work(bench.indexing()))
    assert sorted(await bench.indexed()) == [(photo, 1) for photo in photos]
    assert await bench.index.count(LIBRARY, Everything()) == 500
