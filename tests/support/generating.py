"""Photos of which only the facts are real: for a run of more photos than two cores can look at.

Each is a row of upload, a small file in the bucket, and the end of an analysis that nobody did. Rows and facts are
written as the services write them, by their own stores and outboxes; what follows is done by the gallery's processes.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from uuid import UUID

import psycopg
from support.uploading import Acknowledged, picture

from gallery.ml_worker import store as ml_store
from gallery.ml_worker.domain import End, Packs, Photo, State
from gallery.ml_worker.events import photo_analysed
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.ids import uuid7
from gallery.runtime.outbox import append
from gallery.upload.acceptance import new_key
from gallery.upload.domain import Lane, Original
from gallery.upload.errors import IntentLostError
from gallery.upload.store import PostgresIntents, PostgresOriginals

WRITERS = 4
FIRST = 1_000_000
"""Numbers below are those of real pictures."""
PAUSE_SECONDS = 0.3
LOOKED_AT = End(State.DONE, "", 1, Packs("dlib", None), width=96, height=72)
AWAY = (psycopg.OperationalError, OSError)


def file(seed: int, number: int) -> bytes:
    """The same picture for all, with a number behind its end."""
    return _picture(seed) + number.to_bytes(8)


@cache
def _picture(seed: int) -> bytes:
    return picture(seed, 1)


@dataclass
class Generator:
    """Writes photos as fast as the gallery can follow.

    Attributes:
        url: Of the database.
        bucket: The folder that the store of originals keeps as its bucket.
        library: Whose photos they are.
        seed: Of the picture.
        busy: Says whether enough is on its way for now.
        beside: Told the number of each photo that was written; may block.
        journal: Of all photos, by sha256; each is added once it is committed.
    """

    url: str
    bucket: Path
    library: UUID
    seed: int
    busy: Callable[[], bool]
    beside: Callable[[int], None]
    journal: dict[bytes, Acknowledged]

    def write(self, photos: int) -> None:
        """Write so many, whatever goes away meanwhile."""
        asyncio.run(self._write(photos))

    async def _write(self, photos: int) -> None:
        numbers = iter(range(FIRST, FIRST + photos))
        async with (
            Database.open(self.url, schema="upload") as upload,
            Database.open(self.url, schema="ml_worker") as ml,
        ):
            services = _Services(PostgresOriginals(upload), PostgresIntents(upload), ml)
            async with background(hold=services.intents.hold()):
                await asyncio.gather(*(self._write_some(numbers, services) for _ in range(WRITERS)))

    async def _write_some(self, numbers: Iterator[int], services: "_Services") -> None:
        for number in numbers:
            while self.busy():  # noqa: ASYNC110  # told by a database, which sets no event
                await asyncio.sleep(PAUSE_SECONDS)
            content, photo_id = file(self.seed, number), uuid7()
            digest = hashlib.sha256(content).digest()
            while not await self._written(content, digest, photo_id, services):  # noqa: ASYNC110  # nor does this
                await asyncio.sleep(PAUSE_SECONDS)
            self.journal[digest] = Acknowledged(number, photo_id, datetime.now(UTC))
            await asyncio.to_thread(self.beside, number)

    async def _written(self, content: bytes, digest: bytes, photo_id: UUID, services: "_Services") -> bool:
        """Write one photo; False when something was away. What was written of it before is found again."""
        key = new_key(self.library)
        now = datetime.now(UTC)
        original = Original(photo_id, self.library, key, digest, len(content), "image/jpeg", now, f"{photo_id}.jpg")
        try:
            await services.say_analysed(original)
            await services.intents.declare(self.library, key)
            _lay(self.bucket / key, content)
            recorded = await services.originals.record(original, lane=Lane.BACKFILL)
        except IntentLostError:  # whoever swept it may have come before it was there
            (self.bucket / key).unlink(missing_ok=True)
            return False
        except AWAY:
            return False
        finally:
            services.intents.let_go(key)
        assert recorded.photo_id == photo_id
        return True


def _lay(path: Path, content: bytes) -> None:
    """Put an object into the store's folder, with the attribute that the store itself would give it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.setxattr(path, "user.etag", f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'.encode())


@dataclass(frozen=True)
class _Services:
    """What upload and ml-worker write with."""

    originals: PostgresOriginals
    intents: PostgresIntents
    ml: Database

    async def say_analysed(self, original: Original) -> None:
        """Write that the photo was looked at, and the fact that says so; a second time changes nothing."""
        told = Photo(
            id=original.photo_id,
            library_id=original.library_id,
            blob_key=original.blob_key,
            sha256=original.sha256,
            size=original.size,
            media_type=original.media_type,
        )
        async with self.ml.transaction(keys=[str(told.id)]) as tx:
            row = await (await tx.execute(ml_store.queries.take_in, asdict(told))).fetchone()
            if row is not None and row["state"] == State.PENDING:
                revision = await ml_store.end(tx, told.id, LOOKED_AT)
                await append(tx, photo_analysed(told.id, told.library_id, LOOKED_AT, revision=revision))
