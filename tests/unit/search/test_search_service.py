"""The whole service over a real Postgres: from facts on the bus to answers over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import pytest_asyncio
from support.search_bench import ANNA, BEN, LEASE, LIBRARY, Bench, Client, asking, fill, running_bench
from support.search_indexes import ENGINES, opened
from support.waiting import expect_soon

from gallery.ports.search_index import Everything
from gallery.runtime.background import background
from gallery.search.analyser import Analyser
from gallery.search.documents import Composer
from gallery.search.domain import Claim
from gallery.search.indexing import Indexing
from gallery.search.owners import HttpOwners
from gallery.search.parser import DEEPEST
from gallery.search.rebuilding import rebuild_everything


@pytest_asyncio.fixture(params=ENGINES)
async def bench(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Bench]:
    async with (
        opened(request.param, request, database_url=database_url) as index,
        running_bench(database_url, index) as made,
    ):
        yield made


@pytest_asyncio.fixture
async def client(bench: Bench) -> AsyncIterator[Client]:
    async with asking(bench) as client:
        yield client


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


@pytest.mark.parametrize("leaf", ["tag:beach>0.1", "beach", "img1"])
async def test_the_deepest_query_that_can_be_read_is_answered(bench: Bench, client: Client, leaf: str) -> None:
    await fill(bench)
    query = leaf
    for _ in range(DEEPEST):
        query = f"(file:nothing OR type:photo {query})"
    first = await client.get(f"type:video OR type:photo {query} OR type:photo", limit=1)
    assert (first["http"], first["total"]) == (200, 4)
    second = await client.get(f"type:video OR type:photo {query} OR type:photo", limit=3, cursor=first["next"])
    assert [UUID(photo["id"]).int for photo in second["photos"]] == [3, 2, 1]
    assert await client.ids(query) == await client.ids(leaf)


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
    await bench.index.delete(LIBRARY, list(bench.owners.photos), revision=1)
    assert await client.ids("") == []
    answer = await client.http.post(f"/internal/v1/libraries/{LIBRARY}/rebuild")
    assert (answer.status_code, answer.json()) == (202, {"pending": 4})
    await bench.changed()
    assert {query: await client.ids(query) for query in before} == before
    status = await client.http.get(f"/internal/v1/libraries/{LIBRARY}/status")
    assert status.json() == {"pending": 0}


async def test_everything_is_rebuilt_by_whoever_indexes(bench: Bench, client: Client) -> None:
    await fill(bench)
    bench.owners.tags[UUID(int=1)] = [("heron", 0.9)]
    bench.owners.photos[UUID(int=2)]["file"] = "heron.jpg"
    await bench.note(UUID(int=3))
    assert await bench.store.claim(limit=9, lease=LEASE), "one that is being indexed, by a loop that has died"
    async with background(indexing=bench.indexing().run()), asyncio.timeout(20):
        await rebuild_everything(bench.store)
    assert await client.ids("heron") == [2, 1]
    assert await client.ids("") == [4, 3, 2, 1]


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


async def test_a_taking_stays_with_who_works_on_it_however_long_that_takes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.search.indexing.LEASE", timedelta(milliseconds=200))
    photo = UUID(int=1)
    bench.owners.add(photo)
    await bench.note(photo)
    bench.owners.hold = asyncio.Event()

    async def lengthened() -> bool:
        async with bench.database.read() as connection:
            rows = await (await connection.execute("SELECT DISTINCT not_before FROM pending")).fetchall()
        untils.update(row["not_before"] for row in rows)
        return len(untils) > 3

    untils: set[datetime] = set()
    step = asyncio.create_task(bench.indexing().step())
    await bench.owners.asked.wait()
    await expect_soon(lengthened)
    bench.owners.hold.set()
    assert await step
    assert await bench.indexed() == [(photo, 1)]


async def test_a_change_waits_for_others_of_its_library_and_takes_younger_ones_with_it(bench: Bench) -> None:
    first, second = UUID(int=1), UUID(int=2)
    await bench.note(first)
    a_while = timedelta(minutes=1)
    assert await bench.store.claim(limit=9, lease=LEASE, filling=a_while) is None
    async with bench.database.transaction() as tx:
        await tx.execute("UPDATE pending SET not_before = now() - %s", [a_while])
    await bench.note(first, revision=2)
    await bench.note(second)
    taken = await bench.store.claim(limit=9, lease=LEASE, filling=a_while)
    assert taken
    assert taken.revisions == {first: 2, second: 1}, "a photo that changes without a pause is not put off for ever"


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


async def test_a_loop_that_hung_does_not_bring_back_a_deleted_photo(bench: Bench) -> None:
    photo = UUID(int=1)
    bench.owners.add(photo)
    await bench.note(photo)
    bench.owners.hold = answered = asyncio.Event()
    hung = asyncio.create_task(bench.indexing().step())
    await bench.owners.asked.wait()
    async with bench.database.transaction() as tx:
        await tx.execute("UPDATE pending SET not_before = now()")
    bench.owners.hold = None
    del bench.owners.photos[photo]
    assert await bench.indexing().step()
    answered.set()
    await hung
    assert await bench.index.count(LIBRARY, Everything()) == 0
    assert await bench.index.known(LIBRARY, ["type:photo"]) == set()


async def test_a_rebuild_takes_photos_again_that_are_being_indexed(bench: Bench) -> None:
    """What is on its way to an index when that is made anew must not count as done."""
    new, old = UUID(int=1), UUID(int=2)
    bench.owners.add(old)
    await bench.changed(old)
    bench.owners.add(new)
    await bench.note(new, old, revision=2)
    claim = await bench.store.claim(limit=9, lease=LEASE)
    assert claim
    await bench.store.mark_all(LIBRARY)
    await bench.store.settle(claim, [], [new, old])
    assert await bench.store.pending(LIBRARY) == 2
    again = await bench.store.claim(limit=9, lease=LEASE)
    assert again
    assert set(again.revisions) == {new, old}


async def test_nothing_is_lost_while_an_owner_is_away(bench: Bench) -> None:
    photo = UUID(int=1)
    bench.owners.add(photo)
    bench.owners.down = True
    await bench.note(photo)
    assert not await bench.indexing().step(), "no use to go on at once"
    assert await bench.store.pending(LIBRARY) == 1
    asked = bench.owners.requests
    assert not await bench.indexing().step(), "not before the pause is over"
    assert bench.owners.requests == asked
    bench.owners.down = False
    async with bench.database.transaction() as tx:
        await tx.execute("UPDATE pending SET not_before = now()")
    assert await bench.indexing().step()
    assert await bench.indexed() == [(photo, 1)]


async def test_an_index_that_is_away_blames_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [UUID(int=number) for number in range(1, 6)]
    for photo in photos:
        bench.owners.add(photo)
    await bench.note(*photos)

    async def away(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as outage:
        outage.setattr(bench.index, "put", away)
        for _ in range(5):
            assert not await bench.indexing().step()
            async with bench.database.transaction() as tx:
                await tx.execute("UPDATE pending SET not_before = now()")
    assert await bench.indexing().step()
    assert sorted(await bench.indexed()) == [(photo, 1) for photo in photos], "in one taking"


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
