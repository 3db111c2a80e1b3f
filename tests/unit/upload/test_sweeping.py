"""What interrupted uploads leave behind, and who removes it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.upload.domain import Claim, Lane, Original, Status
from gallery.upload.errors import IntentLostError
from gallery.upload.store import PostgresIntents, PostgresOriginals
from gallery.upload.uploads import Sweeper, Uploads


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def until_held(database: Database) -> None:
    """Wait until some process shows that it lives."""
    while True:
        async with database.read() as connection:
            cursor = await connection.execute("SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory'")
            row = await cursor.fetchone()
        if row is not None and row["held"]:
            return
        await asyncio.sleep(0)


def uploads_over(database: Database, blobs: Any, intents: PostgresIntents) -> Uploads:
    return Uploads(blobs=blobs, originals=PostgresOriginals(database), intents=intents, largest_file=10**6)


async def test_a_dead_process_leaves_nothing_after_the_next_start(
    database: Database, blobs: Any, library: UUID
) -> None:
    dead = PostgresIntents(database)
    await dead.declare(library, "originals/left")
    blobs.objects["originals/left"] = b"half"
    assert await Sweeper(blobs=blobs, intents=PostgresIntents(database)).sweep() == 1
    assert not blobs.objects
    blobs.objects["originals/left"] = b"what it asked for comes true late"
    assert await Sweeper(blobs=blobs, intents=PostgresIntents(database)).sweep() == 1
    assert not blobs.objects
    async with database.transaction() as tx:
        await tx.execute(b"UPDATE intents SET abandoned_at = abandoned_at - interval '10 minutes'")
    assert await Sweeper(blobs=blobs, intents=PostgresIntents(database)).sweep() == 1
    assert await Sweeper(blobs=blobs, intents=PostgresIntents(database)).sweep() == 0


async def test_the_upload_of_a_living_process_is_left_alone(database: Database, blobs: Any, library: UUID) -> None:
    living = PostgresIntents(database)
    async with background(alive=living.hold()):
        await until_held(database)
        await living.declare(library, "originals/running")
        blobs.objects["originals/running"] = b"so far"
        assert await Sweeper(blobs=blobs, intents=PostgresIntents(database)).sweep() == 0
        assert await Sweeper(blobs=blobs, intents=living).sweep() == 0
        living.let_go("originals/running")
        assert await Sweeper(blobs=blobs, intents=living).sweep() == 1
    assert not blobs.objects


@pytest.mark.parametrize("to_the_end", [True, False])
async def test_an_upload_whose_intent_was_taken_is_not_recorded(
    database: Database, blobs: Any, library: UUID, photo: bytes, *, to_the_end: bool
) -> None:
    paused, other = PostgresIntents(database), PostgresIntents(database)

    async def swept_in_between() -> AsyncIterator[bytes]:
        yield photo
        if to_the_end:
            assert await Sweeper(blobs=blobs, intents=other).sweep() == 1
        else:
            assert len(await other.abandon()) == 1

    claim = Claim(library_id=library, file="a.jpg", lane=Lane.INTERACTIVE)
    with pytest.raises(IntentLostError):
        await uploads_over(database, blobs, paused).accept(claim, swept_in_between())
    assert not blobs.objects
    assert [original async for original in PostgresOriginals(database).every(library)] == []


class Mute(PostgresOriginals):
    """Word of its commits gets lost."""

    async def record(self, original: Original, *, lane: Lane) -> Original:
        await super().record(original, lane=lane)
        raise psycopg.OperationalError("the server closed the connection")


async def test_a_commit_whose_answer_got_lost_keeps_its_original(
    database: Database, blobs: Any, library: UUID, photo: bytes
) -> None:
    intents = PostgresIntents(database)
    claim = Claim(library_id=library, file="a.jpg", lane=Lane.INTERACTIVE, sha256=hashlib.sha256(photo).digest())
    uploads = Uploads(blobs=blobs, originals=Mute(database), intents=intents, largest_file=10**6)
    with pytest.raises(psycopg.OperationalError):
        await uploads.accept(claim, once(photo))
    receipt = await uploads_over(database, blobs, intents).accept(claim, once(photo))
    assert receipt.status is Status.ALREADY_STORED
    assert blobs.objects == {receipt.original.blob_key: photo}


async def test_a_client_that_goes_away_leaves_nothing(database: Database, blobs: Any, library: UUID) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"\xff\xd8\xff" + bytes(5000)
        raise ConnectionResetError

    intents = PostgresIntents(database)
    claim = Claim(library_id=library, file="a.jpg", lane=Lane.INTERACTIVE)
    with pytest.raises(ConnectionResetError):
        await uploads_over(database, blobs, intents).accept(claim, cut())
    assert not blobs.objects
    assert await intents.abandon() == []


async def test_a_cancelled_upload_is_swept_by_its_own_process(database: Database, blobs: Any, library: UUID) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"\xff\xd8\xff" + bytes(5000)
        started.set()
        await asyncio.Event().wait()

    started = asyncio.Event()
    intents = PostgresIntents(database)
    async with background(alive=intents.hold()):
        claim = Claim(library_id=library, file="a.jpg", lane=Lane.INTERACTIVE)
        task = asyncio.create_task(uploads_over(database, blobs, intents).accept(claim, endless()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await intents.abandon()) == 1
