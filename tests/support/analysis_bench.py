"""The analyse role over a real Postgres, with models and, unless a test wants them, decoders that are stood in for."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from support.looking import FakeLooker
from support.pictures import quarters, render, saved

from gallery.adapters.memory_blobs import MemoryBlobs
from gallery.events.v1 import analysis_pb2 as pb
from gallery.ml_worker.analysing import AnalyseRole
from gallery.ml_worker.analysis import Analysis
from gallery.ml_worker.domain import Original, Packs, Photo, Rendering
from gallery.ml_worker.errors import DecoderDiedError
from gallery.ml_worker.ports import Looker, Renderer
from gallery.ml_worker.store import ANALYSE, PhotoStore
from gallery.runtime import partitions
from gallery.runtime.database import Database
from gallery.runtime.ids import uuid7
from gallery.runtime.leases import Lane
from gallery.runtime.migrations import migrate
from gallery.runtime.retry import RetryPolicy

PACKS = Packs("fake-faces", "fake-tags")
QUICK = RetryPolicy(transient_attempts=4, first_pause=timedelta(milliseconds=1))
PICTURE = saved(quarters(), "JPEG")


class PlainRenderer:
    """Renders in this process; fails first as often as it is told to."""

    def __init__(self, *, failures: int = 0, error: Exception | None = None) -> None:
        self.failures = failures
        self._error = error or DecoderDiedError("killed")

    async def render(self, original: Original, *, rank: int) -> Rendering:  # noqa: ARG002
        if self.failures:
            self.failures -= 1
            raise self._error
        return render(original.head)


class Bench:
    """One library's worth of the ML worker."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.photos = PhotoStore(database)
        self.blobs = MemoryBlobs()
        self.library = uuid4()

    async def upload(self, content: bytes, media_type: str = "image/jpeg", *, lane: Lane = Lane.INTERACTIVE) -> UUID:
        photo_id = uuid7()
        key = f"originals/{self.library}/{photo_id.hex}"
        await self.blobs.put(key, chunks(content))
        digest = hashlib.sha256(content).digest()
        photo = Photo(photo_id, self.library, key, digest, len(content), media_type)
        async with self.database.transaction(keys=[str(photo_id)]) as tx:
            await self.photos.take_in(tx, photo, lane=lane)
        return photo_id

    def analysis(self, renderer: Renderer | None = None) -> Analysis:
        return Analysis(
            database=self.database,
            photos=self.photos,
            blobs=self.blobs,
            renderer=renderer or PlainRenderer(),
            packs=PACKS,
        )

    @asynccontextmanager
    async def working(self, *, renderer: Renderer | None = None, looker: Looker | None = None) -> AsyncIterator[None]:
        async with AnalyseRole(
            photos=self.photos, analysis=self.analysis(renderer), looker=looker or FakeLooker(), policy=QUICK
        ) as role:
            running = asyncio.create_task(role.run())
            try:
                yield
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def quiet(self) -> bool:
        return not await self.photos.queue.library_has(self.library, stage=ANALYSE)

    async def rows(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        async with self.database.read() as connection:
            return await (await connection.execute(statement.encode(), parameters)).fetchall()

    async def said(self, photo_id: UUID) -> list[pb.PhotoAnalysed]:
        found = await self.rows("SELECT data FROM outbox WHERE key = %s ORDER BY seq", str(photo_id))
        return [pb.PhotoAnalysed.FromString(row["data"]) for row in found]

    async def outcomes(self, photo_id: UUID) -> dict[str, tuple[int, str]]:
        (fact,) = await self.said(photo_id)
        return {stage.stage: (stage.state, stage.reason) for stage in fact.stages}


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


@asynccontextmanager
async def running_bench(database_url: str) -> AsyncIterator[Bench]:
    await migrate(database_url, schema="ml_worker", packages=["gallery.ml_worker"])
    async with Database.open(database_url, schema="ml_worker") as database:
        await partitions.renew(database)
        yield Bench(database)
