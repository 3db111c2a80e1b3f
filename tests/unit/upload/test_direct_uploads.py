"""Uploads that clients send to the store themselves, by the rules of the upload service, over a store in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from gallery.events.v1 import uploads_pb2
from gallery.ports.direct_uploads import DirectUpload
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.upload.direct import DirectUploading
from gallery.upload.domain import Original
from gallery.upload.errors import StillCheckingError
from gallery.upload.main import serving
from gallery.upload.settings import UploadSettings
from gallery.upload.store import PostgresIntents, PostgresOriginals
from gallery.upload.transfers import PostgresTransfers
from gallery.upload.uploads import Sweeper

SMALL = b"\xff\xd8\xff" + bytes(500)
LETTER = b"dear Anna, " * 300
LIMIT = 1_000_000


def uploading(database: Database, blobs: Any, store: Any) -> DirectUploading:
    return DirectUploading(
        store=store,
        transfers=PostgresTransfers(database),
        blobs=blobs,
        originals=PostgresOriginals(database),
        intents=PostgresIntents(database),
        largest_file=LIMIT,
    )


@pytest_asyncio.fixture
async def upload(database: Database, blobs: Any, store: Any, library: UUID) -> AsyncIterator[httpx.AsyncClient]:
    settings = UploadSettings(largest_file=LIMIT)
    async with (
        serving(settings=settings, database=database, blobs=blobs, store=store) as app,
        httpx.AsyncClient(
            transport=AsgiTransport(app), base_url=f"http://upload/internal/v1/libraries/{library}"
        ) as client,
    ):
        yield client


def announced(content: bytes, **more: Any) -> dict[str, Any]:
    return {"path": "a.jpg", "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **more}


async def begun(upload: httpx.AsyncClient, content: bytes, **more: Any) -> dict[str, Any]:
    answer = await upload.post("/uploads/direct", json=announced(content, **more))
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def send(upload: httpx.AsyncClient, store: Any, begun: dict[str, Any], content: bytes, *numbers: int) -> None:
    """Have parts signed, and send them; by default all."""
    size = begun["part_size"]
    cut = {number: content[(number - 1) * size : number * size] for number in numbers or range(1, begun["parts"] + 1)}
    wanted = [{"number": number, "sha256": hashlib.sha256(part).hexdigest()} for number, part in cut.items()]
    answer = await upload.post(f"/uploads/direct/{begun['id']}/parts", json={"parts": wanted})
    for request in answer.json()["requests"]:
        store.receive(request, cut[request["number"]])


async def complete(upload: httpx.AsyncClient, begun: dict[str, Any]) -> httpx.Response:
    return await upload.post(f"/uploads/direct/{begun['id']}/complete")


async def look(upload: httpx.AsyncClient, begun: dict[str, Any]) -> httpx.Response:
    return await upload.get(f"/uploads/direct/{begun['id']}")


async def facts(database: Database) -> list[uploads_pb2.PhotoUploaded]:
    async with database.read() as connection:
        rows = await (await connection.execute("SELECT data FROM outbox ORDER BY seq")).fetchall()
    return [uploads_pb2.PhotoUploaded.FromString(row["data"]) for row in rows]


async def rows(database: Database, table: str) -> int:
    async with database.read() as connection:
        row = await (await connection.execute(f"SELECT count(*) AS count FROM {table}".encode())).fetchone()  # noqa: S608
    assert row is not None
    return int(row["count"])


async def run_out(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE direct_uploads SET expires_at = now()")


async def nothing_is_there(upload: httpx.AsyncClient, database: Database, blobs: Any, store: Any) -> bool:
    found = (await upload.post("/verify")).json()
    return not (found["objects"] or found["findings"] or blobs.objects or store.pieces or await facts(database))


# The whole way


async def test_a_file_sent_in_parts_is_an_original_like_any_other(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, photo: bytes
) -> None:
    said = {"source": "takeout", "people": ["Käthe"]}
    begins = await begun(
        upload, photo, path="Sommer/Mädchen.jpg", lane="backfill", modified="2024-05-01T12:00:00+02:00", said=said
    )
    assert (begins["status"], begins["sent"], begins["requests"]) == ("open", [], [])
    assert (begins["part_size"], begins["parts"]) == (1000, -(-len(photo) // 1000))
    await send(upload, store, begins, photo)
    assert not await facts(database)

    ends = (await complete(upload, begins)).json()
    described = (await upload.get(f"/uploads/{ends['photo']}")).json()
    assert ends == {"file": "Sommer/Mädchen.jpg", "status": "accepted", "photo": described["photo_id"]}
    assert blobs.objects == {described["blob_key"]: photo}
    assert described["media_type"] == "image/jpeg"
    assert described["modified_at"] == "2024-05-01T10:00:00Z"
    assert described["said"] == said
    [fact] = await facts(database)
    assert (fact.photo_id, fact.sha256) == (ends["photo"], hashlib.sha256(photo).digest())
    assert fact.lane == uploads_pb2.LANE_BACKFILL
    assert not store.pieces
    assert await rows(database, "intents") == 0
    assert (await upload.post("/verify")).json() == {"objects": 1, "findings": []}


async def test_one_part_is_signed_at_once(upload: httpx.AsyncClient, store: Any) -> None:
    begins = await begun(upload, SMALL)
    [request] = begins["requests"]
    store.receive(request, SMALL)
    assert (await begun(upload, SMALL))["requests"] == []  # it is there
    assert (await complete(upload, begins)).json()["status"] == "accepted"


async def test_begun_again_it_goes_on_with_what_is_missing(upload: httpx.AsyncClient, store: Any, photo: bytes) -> None:
    first = await begun(upload, photo)
    await send(upload, store, first, photo, 1, 3)
    again = await begun(upload, photo, path="another-name.jpg")
    assert (again["id"], again["sent"], again["file"]) == (first["id"], [1, 3], "a.jpg")
    answer = await complete(upload, first)
    assert (answer.status_code, answer.json()["code"]) == (409, "parts_missing")
    assert answer.json()["missing"] == [2, *range(4, first["parts"] + 1)]
    await send(upload, store, first, photo, *answer.json()["missing"])
    assert (await complete(upload, first)).json()["status"] == "accepted"


async def test_what_is_stored_need_not_be_sent(upload: httpx.AsyncClient, database: Database, photo: bytes) -> None:
    receipt = (await upload.post("/uploads", content=photo)).json()
    assert await begun(upload, photo) == {"file": "a.jpg", "status": "already_stored", "photo": receipt["photo_id"]}
    assert await rows(database, "direct_uploads") == 0


async def test_what_came_by_the_form_meanwhile_is_one_photo(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    receipt = (await upload.post("/uploads", content=photo)).json()
    ends = (await complete(upload, begins)).json()
    assert ends == {"file": "a.jpg", "status": "already_stored", "photo": receipt["photo_id"]}
    assert len(blobs.objects) == len(await facts(database)) == 1
    assert not store.pieces
    assert await rows(database, "intents") == 0


# Once


async def test_completed_again_it_says_the_same_again(
    upload: httpx.AsyncClient, store: Any, database: Database, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    answers = [(await complete(upload, begins)).json() for _ in range(20)]
    assert answers == answers[:1] * 20
    assert store.accepting == len(await facts(database)) == 1
    shown = (await look(upload, begins)).json()
    assert (shown["status"], shown["photo"]) == ("accepted", answers[0]["photo"])
    ended = await upload.post(f"/uploads/direct/{begins['id']}/parts", json={"parts": []})
    assert (ended.status_code, ended.json()["code"]) == (404, "unknown_upload")


async def test_nobody_completes_what_somebody_is_completing(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    accept, reached, go_on = store.accept, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **kwargs: Any) -> Any:
        reached.set()
        await go_on.wait()
        return await accept(*args, **kwargs)

    monkeypatch.setattr(store, "accept", slow)
    first = asyncio.create_task(complete(upload, begins))
    await reached.wait()
    other_process = uploading(database, blobs, store)
    for answer in (await complete(upload, begins), await upload.delete(f"/uploads/direct/{begins['id']}")):
        assert (answer.status_code, answer.json()["code"]) == (503, "still_checking")
    await run_out(database)
    assert await other_process.sweep() == 0
    go_on.set()
    assert (await first).json()["status"] == "accepted"
    assert len(await facts(database)) == 1


async def test_who_is_done_is_in_nobodys_way(database: Database) -> None:
    transfers, upload_id = PostgresTransfers(database), uuid4()
    for _ in range(50):
        async with transfers.alone(upload_id):
            with pytest.raises(StillCheckingError):
                async with transfers.alone(upload_id):
                    pass
        assert await rows(database, "pg_locks WHERE locktype = 'advisory'") == 0


class Mute(PostgresOriginals):
    """Word of its commits gets lost."""

    async def record(self, original: Original, *, lane: Any) -> Original:
        await super().record(original, lane=lane)
        raise psycopg.OperationalError("the server closed the connection")


class Away:
    """A database that is away."""

    async def record(self, *_: Any, **__: Any) -> Original:
        raise psycopg.OperationalError("the server closed the connection")


async def test_a_commit_whose_answer_got_lost_is_found_by_the_next_attempt(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, library: UUID, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    dying = uploading(database, blobs, store)
    dying._acceptance._originals = Mute(database)
    with pytest.raises(psycopg.OperationalError):
        await dying.complete(library, UUID(begins["id"]))
    assert (await complete(upload, begins)).json()["status"] == "accepted"
    assert len(blobs.objects) == len(await facts(database)) == 1
    assert not store.pieces


# What is no photo


async def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_what_is_no_photo_by_its_content_is_refused_and_gone(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database
) -> None:
    begins = await begun(upload, LETTER, type="image/jpeg")
    await send(upload, store, begins, LETTER)
    for _ in range(2):  # the answer got lost
        assert await refused(await complete(upload, begins)) == (415, "unsupported_type")
    shown = (await look(upload, begins)).json()
    assert (shown["status"], shown["code"]) == ("rejected", "unsupported_type")
    assert await nothing_is_there(upload, database, blobs, store)
    assert await rows(database, "intents") == 0


async def test_other_bytes_than_announced_are_refused_and_may_be_begun_anew(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, photo: bytes
) -> None:
    damaged = photo[:-1] + b"x"
    begins = await begun(upload, photo)
    await send(upload, store, begins, damaged)
    assert await refused(await complete(upload, begins)) == (422, "checksum_mismatch")
    assert await nothing_is_there(upload, database, blobs, store)
    anew = await begun(upload, photo)
    assert anew["id"] != begins["id"]
    await send(upload, store, anew, photo)
    assert (await complete(upload, anew)).json()["status"] == "accepted"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"size": 0}, 422, "empty_file"),
        ({"size": LIMIT + 1}, 413, "too_large"),
        ({"sha256": "12"}, 422, "invalid_request"),
        ({"sha256": ""}, 422, "invalid_request"),
        ({"type": "application/pdf"}, 415, "unsupported_type"),
        ({"lane": "fast"}, 422, "bad_claim"),
        ({"modified": "yesterday"}, 422, "bad_claim"),
        ({"said": {"source": "somebody"}}, 422, "bad_claim"),
    ],
)
async def test_what_would_not_be_taken_is_not_begun(
    upload: httpx.AsyncClient, store: Any, database: Database, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await upload.post("/uploads/direct", json=announced(SMALL) | changes)
    assert await refused(answer) == (status, code)
    assert not store.pieces
    assert await rows(database, "direct_uploads") == await rows(database, "intents") == 0


async def test_a_full_library_says_so_before_and_after_it_was_sent(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    await upload.patch("/quota", json={"bytes": len(photo) - 1})
    answers = [
        await complete(upload, begins),
        await upload.post("/uploads/direct", json=announced(photo + b"x")),
    ]
    assert [await refused(answer) for answer in answers] == [(403, "quota_reached")] * 2
    assert not await facts(database)
    assert (await begun(upload, SMALL))["status"] == "open"
    await upload.patch("/quota", json={"bytes": len(photo)})
    assert (await complete(upload, begins)).json()["status"] == "accepted"
    assert len(blobs.objects) == 1


@pytest.mark.parametrize("number", [0, -1, 5, 10**9])
async def test_there_is_no_such_part(upload: httpx.AsyncClient, number: int) -> None:
    begins = await begun(upload, LETTER)
    assert begins["parts"] == 4
    wanted = {"parts": [{"number": number, "sha256": "0" * 64}]}
    assert await refused(await upload.post(f"/uploads/direct/{begins['id']}/parts", json=wanted)) == (422, "bad_claim")


async def test_the_upload_of_another_library_is_none(upload: httpx.AsyncClient, store: Any, photo: bytes) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    other = f"http://upload/internal/v1/libraries/{uuid4()}/uploads/direct/{begins['id']}"
    answers = [
        await upload.get(other),
        await upload.post(f"{other}/parts", json={"parts": []}),
        await upload.post(f"{other}/complete"),
        await upload.delete(other),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "unknown_upload")}
    assert (await complete(upload, begins)).json()["status"] == "accepted"


# Faults of the store


async def test_a_store_that_is_away_costs_nothing_that_was_sent(
    upload: httpx.AsyncClient, store: Any, database: Database, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    store.away = True
    answers = [
        await upload.post("/uploads/direct", json=announced(photo)),
        await upload.post("/uploads/direct", json=announced(SMALL)),
        await look(upload, begins),
        await complete(upload, begins),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "storage_away")}
    store.away = False
    assert (await complete(upload, begins)).json()["status"] == "accepted"
    assert len(await facts(database)) == 1


@pytest.mark.parametrize("heard_at", ["begin", "complete"])
async def test_what_the_store_lost_is_sent_anew_under_the_same_id(
    upload: httpx.AsyncClient, store: Any, photo: bytes, heard_at: str
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    store.pieces.clear()
    assert (await look(upload, begins)).json()["sent"] == []
    if heard_at == "begin":
        again = await begun(upload, photo)
        assert (again["id"], again["sent"]) == (begins["id"], [])
    else:
        answer = await complete(upload, begins)
        assert answer.json()["missing"] == list(range(1, begins["parts"] + 1))
    await send(upload, store, begins, photo)
    assert (await complete(upload, begins)).json()["status"] == "accepted"


# Ends


async def test_an_aborted_upload_leaves_nothing(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo, 1)
    assert (await upload.delete(f"/uploads/direct/{begins['id']}")).status_code == 200
    assert await nothing_is_there(upload, database, blobs, store)
    assert await rows(database, "direct_uploads") == await rows(database, "intents") == 0
    assert await refused(await complete(upload, begins)) == (404, "unknown_upload")


async def test_what_the_store_keeps_of_an_aborted_upload_is_swept(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, library: UUID, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    dying = uploading(database, blobs, store)
    dying._acceptance._originals = Away()  # type: ignore[assignment]
    with pytest.raises(psycopg.OperationalError):
        await dying.complete(library, UUID(begins["id"]))
    assert len(blobs.objects) == 1  # checked, and nobody knows
    store.away = True
    assert (await upload.delete(f"/uploads/direct/{begins['id']}")).status_code == 200
    assert await refused(await complete(upload, begins)) == (404, "unknown_upload")
    assert await Sweeper(blobs=blobs, intents=PostgresIntents(database)).sweep() == 1
    assert not blobs.objects


async def test_forgetting_a_completed_upload_keeps_the_photo(
    upload: httpx.AsyncClient, store: Any, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo)
    ends = (await complete(upload, begins)).json()
    await upload.delete(f"/uploads/direct/{begins['id']}")
    assert (await upload.get(f"/originals/{ends['photo']}")).content == photo


async def test_an_upload_that_ran_out_is_over_and_swept(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, photo: bytes
) -> None:
    unfinished, finished = await begun(upload, photo), await begun(upload, SMALL)
    await send(upload, store, unfinished, photo, 1)
    await send(upload, store, finished, SMALL)
    kept = (await complete(upload, finished)).json()["photo"]
    sweeping = uploading(database, blobs, store)
    assert await sweeping.sweep() == 0
    await run_out(database)
    for answer in (await look(upload, unfinished), await complete(upload, unfinished)):
        assert await refused(answer) == (404, "unknown_upload")
    assert (await begun(upload, photo))["id"] != unfinished["id"]

    assert await sweeping.sweep() == 2
    assert len(store.pieces) == 1
    assert await rows(database, "direct_uploads") == await rows(database, "intents") == 1  # the one begun anew
    assert (await upload.get(f"/originals/{kept}")).content == SMALL


async def test_the_sweep_of_dead_processes_leaves_direct_uploads_alone(
    upload: httpx.AsyncClient, store: Any, blobs: Any, database: Database, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    assert await Sweeper(blobs=blobs, intents=PostgresIntents(database)).sweep() == 0
    await send(upload, store, begins, photo)
    assert (await complete(upload, begins)).json()["status"] == "accepted"


async def test_nothing_is_signed_beyond_the_end(
    upload: httpx.AsyncClient, store: Any, database: Database, photo: bytes
) -> None:
    begins = await begun(upload, photo)
    await send(upload, store, begins, photo, 1)
    async with database.transaction() as tx:
        await tx.execute("UPDATE direct_uploads SET expires_at = now() + interval '5 minutes'")
    await send(upload, store, begins, photo, 1)
    hour, rest = store.valid_for
    assert hour == timedelta(hours=1)
    assert timedelta(minutes=4) < rest <= timedelta(minutes=5)


async def test_a_gallery_over_a_folder_points_to_the_form(database: Database, blobs: Any, library: UUID) -> None:
    async with (
        serving(settings=UploadSettings(), database=database, blobs=blobs) as app,
        httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://upload") as client,
    ):
        answer = await client.post(f"/internal/v1/libraries/{library}/uploads/direct", json=announced(SMALL))
    assert await refused(answer) == (409, "no_direct_uploads")
    assert "/api/v1/uploads" in answer.json()["detail"]


@given(size=st.integers(1, 10**13), piece_size=st.integers(1, 10**10))
def test_pieces_make_the_whole(size: int, piece_size: int) -> None:
    upload = DirectUpload("", None, size, b"", piece_size)
    last = upload.size_of(upload.pieces)
    assert 0 < last <= piece_size
    assert (upload.pieces - 1) * piece_size + last == size
    for number in (0, upload.pieces + 1):
        with pytest.raises(ValueError, match="no piece"):
            upload.size_of(number)
