"""The catalogue over a real database, told of one fact at a time."""

import io
import itertools
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import piexif
import pytest
import pytest_asyncio
from PIL import Image
from support.measured import Growth, page
from support.metadata import LIBRARY, Service, analysed, indexed, metadata_service, proposed

from gallery.metadata.errors import NameTakenError, NameUnfitError, OriginalUnknownError, PersonUnknownError
from gallery.ports.blobs import BlobChangedError, BlobNotFoundError
from gallery.ports.bus import Message
from gallery.ports.elsewhere import PlaceAwayError, PlaceUnreadableError
from gallery.runtime import metrics
from gallery.runtime.ids import uuid7

ALL_DONE = dict.fromkeys(["rendered", "faces", "tags", "text", "people"], "done")


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    async with metadata_service(database_url) as opened:
        yield opened


def photo_with_header() -> bytes:
    degrees = ((43, 1), (28, 1), (264, 100))
    block = piexif.dump(
        {
            "0th": {piexif.ImageIFD.Make: b"NIKON", piexif.ImageIFD.Model: b"COOLPIX P6000"},
            "Exif": {piexif.ExifIFD.DateTimeOriginal: b"2008:10:22 16:28:39"},
            "GPS": {1: b"N", 2: degrees, 3: b"E", 4: ((11, 1), (53, 1), (645, 100))},
        }
    )
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", exif=block)
    return out.getvalue()


async def photo(service: Service, photo_id: UUID) -> dict[str, Any]:
    answer = await service.http.post(service.url("/photos/query"), json={"ids": [str(photo_id)]})
    assert answer.status_code == 200
    return dict(answer.json()["photos"][0])


async def ledger(service: Service) -> dict[str, Any]:
    return dict((await service.http.get(service.url("/ledger"))).json())


async def facts(service: Service, kind: str) -> list[dict[str, Any]]:
    return await service.rows("SELECT key, revision, data FROM outbox WHERE type LIKE %s ORDER BY xid, seq", f"%{kind}")


async def test_a_photo_from_upload_to_found(service: Service) -> None:
    photo_id = uuid7()
    await service.hear(await service.put(photo_id, file="trip/DSCN0010.jpg", content=photo_with_header()))
    found = await photo(service, photo_id)
    assert found["file"] == "trip/DSCN0010.jpg"
    assert (found["taken_at"], found["offset_minutes"], found["taken_from"]) == (
        "2008-10-22T16:28:39",
        None,
        "exif:DateTimeOriginal",
    )
    assert found["camera"] == "Nikon COOLPIX P6000"
    assert found["place"] == {"city": "Arezzo", "region": None, "country": "Italy", "country_code": "IT"}
    assert found["stages"]["described"]["state"] == "done"
    await service.hear(analysed(photo_id, ALL_DONE, revision=1))
    revision = (await photo(service, photo_id))["revision"]
    await service.hear(indexed(photo_id, revision - 1))
    assert (await photo(service, photo_id))["stages"]["indexed"]["state"] == "pending"
    async with Growth() as growth:
        for _ in range(2):
            await service.hear(indexed(photo_id, revision))
        assert await growth.of("gallery_upload_to_searchable_seconds_count") == 1
        assert await growth.of("gallery_upload_to_searchable_seconds_sum") > 0
    found = await photo(service, photo_id)
    assert found["stages"]["indexed"]["state"] == "done"
    assert found["revision"] == revision, "being indexed is no change"
    assert (found["width"], found["height"]) == (640, 480)
    assert [row["revision"] for row in await facts(service, "PhotoChanged")] == [1, 2]
    summed = await ledger(service)
    assert summed["consistent"]
    assert all(states == {"pending": 0, "done": 1, "failed": 0, "rejected": 0} for states in summed["stages"].values())
    assert summed["oldest_pending_seconds"] is None


async def test_a_photo_counts_as_searchable_once_all_is_seen_and_never_again(service: Service) -> None:
    async with Growth() as growth:

        async def counted() -> float:
            return await growth.of("gallery_upload_to_searchable_seconds_count")

        photo_id = uuid7()
        await service.hear(await service.put(photo_id))
        await service.hear(indexed(photo_id, 1))
        assert await counted() == 0, "it is found by its name, and nobody has looked at it yet"
        pending_text = {stage: "done" for stage in ALL_DONE if stage != "text"}
        await service.hear(analysed(photo_id, pending_text, revision=1))
        await service.hear(indexed(photo_id, 1))
        assert await counted() == 0, "the index has it as it was"
        await service.hear(indexed(photo_id, 2))
        assert await counted() == 1, "text is read later"
        since = await service.rows("SELECT searchable_at FROM photos")
        await service.hear(analysed(photo_id, ALL_DONE, revision=2))
        await service.hear(indexed(photo_id, 3))
        assert await counted() == 1
        assert await service.rows("SELECT searchable_at FROM photos") == since


async def test_the_ledger_is_told_of_all_libraries(service: Service) -> None:
    for _ in range(3):
        await service.hear(await service.put(uuid7()))
    with metrics.sampled(service.ledger.sample):
        shown = await page()
    described = {"stage": "described"}
    assert shown.value("gallery_ledger_photos", **described, state="done") == 3
    assert shown.value("gallery_ledger_photos", **described, state="pending") == 0


async def final_rows(service: Service, photo_id: UUID) -> list[Any]:
    return [
        # When it was first complete is a matter of the clock, not of what was said.
        await service.rows("SELECT to_jsonb(photos) - 'searchable_at' AS photo FROM photos WHERE id = %s", photo_id),
        await service.rows(
            "SELECT stage, state, reason, pack, attempts FROM ledger WHERE photo_id = %s ORDER BY stage", photo_id
        ),
        await service.rows("SELECT id, person_id, state FROM faces WHERE photo_id = %s ORDER BY id", photo_id),
        await service.rows("SELECT id, faces, photos FROM people ORDER BY id"),
        await service.rows("SELECT photos, unassigned_faces FROM libraries"),
        sorted(
            (row["stage"], row["state"], row["photos"])
            for row in await service.rows("SELECT * FROM ledger_counts WHERE photos <> 0")
        ),
    ]


def story() -> list[list[tuple[Any, ...]]]:
    """The facts of a photo by producer: order holds within each, not between them."""
    anna, ben, first, second = (UUID(int=number) for number in (101, 102, 11, 12))
    return [
        [("put",)],
        [
            ("analysed", {"rendered": "done", "faces": "done", "tags": "done", "text": "done:no_pack"}, 1),
            ("proposed", {first: (anna, "assigned"), second: (None, "unassigned")}, 2),
            ("analysed", {"people": "done"}, 3),
            ("proposed", {first: (anna, "assigned"), second: (ben, "suggested")}, 4),
        ],
        [("indexed", 2), ("indexed", 5)],
    ]


async def played(service: Service, photo_id: UUID, step: tuple[Any, ...]) -> Message:
    match step:
        case ("put",):
            return await service.put(photo_id, file="IMG_20240131_235959.jpg")
        case ("analysed", stages, revision):
            return analysed(photo_id, stages, revision=revision)
        case ("proposed", faces, revision):
            return proposed(photo_id, faces, revision=revision)
        case _:
            return indexed(photo_id, step[1])


def interleaved(chance: random.Random, streams: list[list[Any]]) -> list[Any]:
    waiting = [list(stream) for stream in streams]
    order = []
    while any(waiting):
        order.append(chance.choice([stream for stream in waiting if stream]).pop(0))
    return order


async def test_any_interleaving_of_the_producers_ends_the_same(service: Service) -> None:
    photo_id = UUID(int=7)
    chance = random.Random(3)
    endings = []
    orders = [list(itertools.chain(*story()))] + [interleaved(chance, story()) for _ in range(40)]
    for order in orders:
        async with service.database.transaction() as tx:
            await tx.execute(
                "TRUNCATE photos, ledger, faces, people, libraries, ledger_counts, decisions, outbox, inbox"
            )
        messages = [await played(service, photo_id, step) for step in order]
        for message in messages:
            for _ in range(chance.choice([1, 1, 2])):
                await service.hear(message)
        endings.append(await final_rows(service, photo_id))
        assert (await service.ledger.reconcile(LIBRARY)).findings == 0
        assert [row["revision"] for row in await facts(service, "PhotoChanged")][-1] == 5
    for order, ending in zip(orders, endings, strict=True):
        assert ending == endings[0], order
    assert endings[0][0][0]["photo"]["revision"] == 5


async def test_what_an_older_fact_says_changes_nothing(service: Service) -> None:
    photo_id, face, anna = uuid7(), uuid7(), uuid7()
    await service.hear(await service.put(photo_id))
    await service.hear(proposed(photo_id, {face: (anna, "assigned")}, revision=4))
    await service.hear(analysed(photo_id, ALL_DONE, revision=5))
    before = await final_rows(service, photo_id)
    await service.hear(proposed(photo_id, {face: (None, "unassigned")}, revision=3))
    await service.hear(analysed(photo_id, {"tags": "failed:late"}, revision=2))
    assert await final_rows(service, photo_id) == before


async def test_the_same_said_again_under_a_new_id_changes_nothing(service: Service) -> None:
    photo_id, face, anna = uuid7(), uuid7(), uuid7()
    for _ in range(2):
        await service.hear(await service.put(photo_id))
        await service.hear(analysed(photo_id, ALL_DONE, revision=5))
        await service.hear(proposed(photo_id, {face: (anna, "assigned")}, revision=6))
    assert (await photo(service, photo_id))["revision"] == 3


async def test_a_photo_that_cannot_be_rendered_is_rejected_whole(service: Service) -> None:
    photo_id, unknown = uuid7(), uuid7()
    await service.hear(await service.put(photo_id, file="bad.jpg", content=b"\xff\xd8no"))
    await service.hear(analysed(photo_id, {"rendered": "rejected:undecodable"}, revision=1, size=(0, 0)))
    asked = {"ids": [str(photo_id), str(unknown)]}
    progress = (await service.http.post(service.url("/photos/progress"), json=asked)).json()
    assert progress["pending"] == 2
    await service.hear(indexed(photo_id, 2))
    progress = (await service.http.post(service.url("/photos/progress"), json=asked)).json()
    assert (progress["pending"], progress["done"], progress["failed"]) == (1, 0, 0)
    assert [(r["photo_id"], r["file"], r["code"]) for r in progress["rejected"]] == [
        (str(photo_id), "bad.jpg", "undecodable")
    ]
    summed = await ledger(service)
    assert summed["stages"]["people"]["rejected"] == 1
    assert summed["rejected"] == progress["rejected"]
    assert summed["consistent"]
    page = (await service.http.get(service.url("/ledger/rejected?limit=1"))).json()
    assert page["rejected"] == progress["rejected"]
    rest = (await service.http.get(service.url("/ledger/rejected"), params={"cursor": page["next"]})).json()
    assert rest == {"rejected": [], "next": None}


async def test_people_and_their_names(service: Service) -> None:
    anna, ben = uuid7(), uuid7()
    photos = [uuid7() for _ in range(3)]
    for photo_id in photos:
        await service.hear(await service.put(photo_id))
        faces = {uuid7(): (anna, "assigned"), uuid7(): (None, "unassigned")}
        await service.hear(proposed(photo_id, faces, revision=1))
    await service.hear(proposed(photos[0], {uuid7(): (ben, "assigned")}, revision=2))
    listed = (await service.http.get(service.url("/people"))).json()
    assert listed["unassigned_faces"] == 2
    assert [(p["id"], p["faces"], p["photos"]) for p in listed["people"]] == [(str(anna), 2, 2), (str(ben), 1, 1)]
    assert all(person["cover_face"] for person in listed["people"])
    named = await service.http.put(service.url(f"/people/{anna}/name"), json={"name": "  Anna   Berg "})
    assert named.json()["name"] == "Anna Berg"
    assert len(await facts(service, "PersonNamed")) == 1
    await service.people.name(LIBRARY, anna, "Anna Berg")
    assert len(await facts(service, "PersonNamed")) == 1, "the same again is no news"
    taken = await service.http.put(service.url(f"/people/{ben}/name"), json={"name": "anna berg"})
    assert (taken.status_code, taken.json()["code"], taken.json()["person_id"]) == (409, "name_taken", str(anna))
    missing = await service.http.put(service.url(f"/people/{uuid7()}/name"), json={"name": "X"})
    assert (missing.status_code, missing.json()["code"]) == (404, "person_not_found")
    unfit = await service.http.put(service.url(f"/people/{ben}/name"), json={"name": "   "})
    assert (unfit.status_code, unfit.json()["code"]) == (422, "name_unfit")
    asked = await service.http.post(service.url("/people/query"), json={"ids": [str(anna), str(ben)]})
    assert [person["name"] for person in asked.json()["people"]] == ["Anna Berg", None]


async def test_a_proposal_ends_the_stage_of_people(service: Service) -> None:
    photo_id = uuid7()
    await service.hear(await service.put(photo_id))
    await service.hear(analysed(photo_id, {"rendered": "done", "faces": "done"}, revision=1))
    assert (await photo(service, photo_id))["stages"]["people"]["state"] == "pending"
    await service.hear(proposed(photo_id, {uuid7(): (None, "unassigned")}, revision=1))
    assert (await photo(service, photo_id))["stages"]["people"]["state"] == "done"


async def test_names_stick(service: Service) -> None:
    photo_id, face, anna, ben = (uuid7() for _ in range(4))
    await service.hear(await service.put(photo_id))
    await service.hear(proposed(photo_id, {face: (anna, "assigned")}, revision=1))
    await service.people.name(LIBRARY, anna, "Anna")
    await service.hear(proposed(photo_id, {face: (ben, "assigned")}, revision=2, knowing=0))
    assert (await photo(service, photo_id))["faces"] == [{"id": str(face), "person_id": str(anna), "state": "assigned"}]
    await service.hear(proposed(photo_id, {face: (ben, "assigned")}, revision=3, knowing=1))
    assert (await photo(service, photo_id))["faces"][0]["person_id"] == str(ben)
    await service.hear(proposed(photo_id, {}, revision=4, knowing=1))
    people = (await service.http.get(service.url("/people"))).json()["people"]
    assert [(p["name"], p["faces"]) for p in people] == [("Anna", 0)], "a name outlives its faces, a group does not"


async def test_a_decision_about_a_face_wins(service: Service) -> None:
    photo_id, face, anna, ben = (uuid7() for _ in range(4))
    await service.hear(await service.put(photo_id))
    await service.hear(proposed(photo_id, {face: (anna, "assigned"), uuid7(): (ben, "assigned")}, revision=1))
    async with service.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO decisions (id, library_id, photo_id, box, face_id, person_id, revision)"
            " VALUES (%s, %s, %s, '{0,0,1,1}', %s, %s, 1)",
            [uuid7(), LIBRARY, photo_id, face, ben],
        )
    await service.hear(proposed(photo_id, {face: (anna, "assigned")}, revision=2, knowing=5))
    assert (await photo(service, photo_id))["faces"] == [{"id": str(face), "person_id": str(ben), "state": "assigned"}]
    await service.hear(proposed(photo_id, {}, revision=3, knowing=5))
    assert len((await photo(service, photo_id))["faces"]) == 1, "a judged face that was not found again stays"


async def test_names_are_refused_for_a_reason(service: Service) -> None:
    with pytest.raises(PersonUnknownError):
        await service.people.name(LIBRARY, uuid7(), "Anna")
    photo_id, anna, ben = (uuid7() for _ in range(3))
    await service.hear(proposed(photo_id, {uuid7(): (anna, "assigned"), uuid7(): (ben, "assigned")}, revision=1))
    await service.people.name(LIBRARY, anna, "\uff21nna")
    with pytest.raises(NameTakenError) as taken:
        await service.people.name(LIBRARY, ben, "ANNA")
    assert taken.value.person_id == anna
    with pytest.raises(NameUnfitError):
        await service.people.name(LIBRARY, ben, "a" * 201)
    assert (await service.people.name(LIBRARY, anna, None))["name"] is None
    assert (await service.people.name(LIBRARY, ben, "ANNA"))["name"] == "ANNA"


async def test_the_timeline_pages_without_gap_or_repeat(service: Service) -> None:
    days = [*range(1, 20), 7, 7, 7]
    for day in days:
        await service.hear(await service.put(uuid7(), file=f"IMG_202401{day:02d}_120000.jpg"))
    await service.hear(analysed(uuid7(), ALL_DONE, revision=1))
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await service.http.get(service.url("/photos"), params={"cursor": cursor, "limit": 4})).json()
        seen += page["photos"]
        cursor = page["next"]
    keys = [(row["taken_at"], row["id"]) for row in seen]
    assert keys == sorted(keys, reverse=True)
    assert len(set(keys)) == len(days), "and what is not described is not in it"
    wrong = await service.http.get(service.url("/photos"), params={"cursor": "nonsense"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_cursor")


async def test_faces_page_in_order(service: Service) -> None:
    photo_id = uuid7()
    await service.hear(await service.put(photo_id, file="a.jpg"))
    faces = sorted(uuid7() for _ in range(5))
    await service.hear(proposed(photo_id, dict.fromkeys(faces, (None, "unassigned")), revision=1))
    first = (await service.http.get(service.url("/faces?limit=3"))).json()
    second = (await service.http.get(service.url("/faces"), params={"cursor": first["next"], "limit": 3})).json()
    assert [face["id"] for face in first["faces"] + second["faces"]] == [str(face) for face in faces]
    assert second["next"] is None
    assert first["faces"][0] | {"id": ""} == {
        "id": "",
        "photo": str(photo_id),
        "file": "a.jpg",
        "person_id": None,
        "state": "unassigned",
    }


async def test_reconciliation_puts_right_what_was_made_wrong(database_url: str) -> None:
    async with metadata_service(database_url, stuck_after=timedelta(0)) as service:
        photo_id = uuid7()
        await service.hear(await service.put(photo_id))
        assert (await service.ledger.reconcile(LIBRARY)).findings == 0
        async with service.database.transaction() as tx:
            await tx.execute("DELETE FROM ledger WHERE stage = 'tags'")
            await tx.execute("UPDATE ledger_counts SET photos = photos + 3 WHERE stage = 'faces'")
        assert not (await ledger(service))["consistent"]
        answer = (await service.http.post(service.url("/reconcile"))).json()
        assert [finding["kind"] for finding in answer["findings"]] == ["miscounted", "incomplete"]
        assert answer["said_again"] == 1
        assert str(photo_id) in answer["stuck"]["rendered"]
        assert (await service.ledger.reconcile(LIBRARY)).findings == 0
        assert (await ledger(service))["consistent"]


async def test_resync_says_everything_again(service: Service) -> None:
    anna = uuid7()
    for _ in range(3):
        photo_id = uuid7()
        await service.hear(await service.put(photo_id))
        await service.hear(proposed(photo_id, {uuid7(): (anna, "assigned")}, revision=1))
    await service.people.name(LIBRARY, anna, "Anna")
    before = len(await facts(service, "PhotoChanged"))
    answer = (await service.http.post(service.url("/resync"))).json()
    assert answer == {"photos": 3, "people": 1}
    again = (await facts(service, "PhotoChanged"))[before:]
    assert [row["revision"] for row in again] == [2, 2, 2]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (BlobNotFoundError, "original_missing"),
        (BlobChangedError, "original_changed"),
        (PlaceUnreadableError, "original_unreadable"),
        (PlaceAwayError, "original_unreadable"),
    ],
)
async def test_an_original_that_is_gone_is_a_failure_of_ours(
    service: Service, fault: type[Exception], reason: str
) -> None:
    photo_id = uuid7()
    message = await service.put(photo_id, file="IMG_20240131_235959.jpg", content=photo_with_header())
    service.blobs.fault = fault
    await service.hear(message)
    found = await photo(service, photo_id)
    assert (found["stages"]["described"]["state"], found["stages"]["described"]["reason"]) == ("failed", reason)
    assert found["taken_from"] == "file_name"
    service.blobs.fault = None
    await service.hear(await service.put(photo_id, content=photo_with_header()))
    assert (await photo(service, photo_id))["stages"]["described"]["state"] == "done", "said again, it is read again"


SAID = {
    "source": "takeout",
    "taken_at": "2015-07-12T10:00:00Z",
    "gps": {"latitude": 41.9, "longitude": 12.48},
    "people": ["Anna"],
    "albums": ["Rome"],
}


async def test_where_the_header_is_silent_another_gallery_is_believed(service: Service) -> None:
    photo_id = uuid7()
    await service.hear(await service.put(photo_id, file="scan.jpg", content=b"\xff\xd8\xff", said=SAID))
    found = await photo(service, photo_id)
    assert (found["taken_at"], found["offset_minutes"]) == ("2015-07-12T12:00:00", 120)
    assert (found["taken_from"], found["offset_from"]) == ("takeout:photoTakenTime", "place")
    assert (found["gps"]["latitude"], found["gps_from"]) == (41.9, "takeout:geoData")
    assert found["place"]["country"] == "Italy"
    assert found["said"] == SAID


async def test_the_header_is_believed_before_another_gallery(service: Service) -> None:
    photo_id = uuid7()
    await service.hear(await service.put(photo_id, content=photo_with_header(), said=SAID))
    found = await photo(service, photo_id)
    assert (found["taken_at"], found["taken_from"]) == ("2008-10-22T16:28:39", "exif:DateTimeOriginal")
    assert (round(found["gps"]["latitude"]), found["gps_from"]) == (43, "header")
    assert found["said"] == SAID


@pytest.mark.parametrize("taken_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
async def test_the_ends_of_the_calendar_are_no_time(service: Service, taken_at: str) -> None:
    photo_id = uuid7()
    said = {"source": "takeout", "taken_at": taken_at}
    await service.hear(await service.put(photo_id, file="a.jpg", content=b"\xff\xd8\xff", said=said))
    assert (await photo(service, photo_id))["taken_from"] == "upload_time"


async def test_an_upload_that_nobody_knows_is_given_up(service: Service) -> None:
    message = await service.put(uuid7())
    service.uploads.originals.clear()
    with pytest.raises(OriginalUnknownError):
        await service.hear(message)


async def test_of_a_jpeg_only_its_beginning_is_read(service: Service) -> None:
    content = photo_with_header() + bytes(5_000_000)
    await service.hear(await service.put(uuid7(), content=content))
    assert service.blobs.read_bytes == 1024 * 1024


async def test_of_a_film_only_its_moov_is_read(service: Service) -> None:
    def box(kind: bytes, body: bytes) -> bytes:
        return (len(body) + 8).to_bytes(4, "big") + kind + body

    header = box(
        b"mvhd", bytes(4) + (3_643_000_000).to_bytes(4, "big") + bytes(4) + (600).to_bytes(4, "big") + bytes(4)
    )
    film = box(b"ftyp", b"isom") + box(b"mdat", bytes(5_000_000)) + box(b"moov", header)
    photo_id = uuid7()
    await service.hear(await service.put(photo_id, content=film, media_type="video/mp4"))
    assert (await photo(service, photo_id))["taken_from"] == "quicktime:mvhd"
    assert service.blobs.read_bytes < 1000
