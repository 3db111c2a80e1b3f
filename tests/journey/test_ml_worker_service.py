"""The ML worker as its neighbours see it: facts in, facts and answers out."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest_asyncio
from support.looking import FakeLooker
from support.pictures import quarters, render, saved
from support.waiting import expect_soon

from gallery.adapters.memory_blobs import MemoryBlobs
from gallery.adapters.memory_bus import MemoryBus
from gallery.events.topics import Topic
from gallery.events.v1.uploads_pb2 import LANE_BACKFILL, LANE_INTERACTIVE, Lane, PhotoUploaded
from gallery.ml_worker.analysing import AnalyseRole
from gallery.ml_worker.analysis import Analysis
from gallery.ml_worker.domain import Original, Packs, Rendering
from gallery.ml_worker.main import consuming, serving
from gallery.ml_worker.settings import MlWorkerSettings
from gallery.ml_worker.store import PhotoStore
from gallery.ports.bus import Message
from gallery.runtime import partitions
from gallery.runtime.database import Database
from gallery.runtime.ids import uuid7
from gallery.runtime.migrations import migrate

LIBRARY = uuid4()


class PlainRenderer:
    async def render(self, original: Original, *, rank: int) -> Rendering:  # noqa: ARG002
        return render(original.head)


class Service:
    def __init__(self, client: httpx.AsyncClient, bus: MemoryBus, blobs: MemoryBlobs, database: Database) -> None:
        self.client, self.bus, self.blobs, self.database = client, bus, blobs, database

    async def upload(self, content: bytes, lane: Lane = LANE_INTERACTIVE) -> UUID:
        photo_id = uuid7()
        key = f"originals/{LIBRARY}/{photo_id.hex}"

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        await self.blobs.put(key, chunks())
        body = PhotoUploaded(
            photo_id=str(photo_id),
            blob_key=key,
            sha256=hashlib.sha256(content).digest(),
            size_bytes=len(content),
            media_type="image/jpeg",
            lane=lane,
        )
        fact = Message(
            id=uuid7(),
            topic=Topic.UPLOADS,
            type=body.DESCRIPTOR.full_name,
            key=str(photo_id),
            library_id=LIBRARY,
            revision=1,
            at=datetime.now(UTC),
            data=body.SerializeToString(),
        )
        await self.bus.publish([fact])
        return photo_id

    async def photo(self, photo_id: UUID) -> dict[str, Any]:
        answer = await self.client.post("/photos/query", json={"ids": [str(photo_id)]})
        found = answer.raise_for_status().json()["photos"]
        return found[0] if found else {}

    async def looked_at(self, photo_id: UUID) -> bool:
        return (await self.photo(photo_id)).get("state") in {"done", "rejected", "failed"}


@asynccontextmanager
async def role(service: Service) -> AsyncIterator[None]:
    photos = PhotoStore(service.database)
    analysis = Analysis(
        database=service.database,
        photos=photos,
        blobs=service.blobs,
        renderer=PlainRenderer(),
        packs=Packs("dlib", "fake-tags"),
    )
    async with AnalyseRole(photos=photos, analysis=analysis, looker=FakeLooker()) as analysing:
        task = asyncio.create_task(analysing.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    await migrate(database_url, schema="ml_worker", packages=["gallery.ml_worker"])
    async with Database.open(database_url, schema="ml_worker") as database:
        await partitions.renew(database)
        bus, blobs = MemoryBus(), MemoryBlobs()
        settings = MlWorkerSettings(face_pack="dlib", tag_pack="auto")
        async with (
            serving(settings=settings, database=database, blobs=blobs) as app,
            consuming(database=database, bus=bus),
        ):
            base = f"http://ml-worker/internal/v1/libraries/{LIBRARY}"
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
                yield Service(client, bus, blobs, database)


async def test_an_uploaded_photo_can_be_asked_about(service: Service) -> None:
    async with role(service):
        photo_id = await service.upload(saved(quarters(), "JPEG"))
        await expect_soon(lambda: service.looked_at(photo_id))
    photo = await service.photo(photo_id)
    assert (photo["width"], photo["height"], photo["state"]) == (640, 480, "done")
    assert photo["tags"][0]["label"] == "cat"
    (face,) = photo["faces"]
    assert face["box"] == [160, 120, 320, 240]
    assert set(photo["hashes"]) == {"phash", "dhash", "thumbhash"}
    explained = (await service.client.get(f"/faces/{face['id']}")).raise_for_status().json()
    assert explained["photo_id"] == str(photo_id)
    assert explained["evidence"] is None
    asked = (await service.client.post("/faces/query", json={"ids": [face["id"]]})).json()
    assert asked["faces"] == [face]
    assert (await service.client.post("/verify")).json() == {"objects": 2, "findings": []}


async def test_a_backfill_is_paused_and_resumed(service: Service) -> None:
    paused = (await service.client.patch("/backfill", json={"paused": True, "weight": 3})).raise_for_status().json()
    assert (paused["paused"], paused["weight"], paused["lanes"]["backfill"]["pending"]) == (True, 3, 0)
    async with role(service):
        waiting = await service.upload(saved(quarters(), "JPEG"), lane=LANE_BACKFILL)
        at_once = await service.upload(saved(quarters(64, 48), "JPEG"))
        await expect_soon(lambda: service.looked_at(at_once))
        assert not await service.looked_at(waiting)
        shown = (await service.client.get("/backfill")).json()["lanes"]
        assert shown["backfill"] == {"pending": 1, "done_per_minute": 0, "seconds_left": None}
        assert (shown["interactive"]["pending"], shown["interactive"]["done_per_minute"]) == (0, 1)
        await service.client.patch("/backfill", json={"paused": False})
        await expect_soon(lambda: service.looked_at(waiting))
    assert (await service.client.patch("/backfill", json={"weight": 11})).status_code == 422


async def test_a_backfill_tells_what_it_has_cost_and_what_is_interactive_does_not(service: Service) -> None:
    async def cost() -> dict[str, Any]:
        return dict((await service.client.get("/backfill")).json()["cost"])

    nothing = {"since": None, "photos": 0, "cpu_seconds": 0, "original_bytes": 0, "derived_bytes": 0}
    assert await cost() == nothing
    large, small = saved(quarters(4000, 3000), "JPEG"), saved(quarters(64, 48), "JPEG")
    async with role(service):
        await expect_soon(partial(service.looked_at, await service.upload(small)))
        assert await cost() == nothing
        for content in (large, small):
            await expect_soon(partial(service.looked_at, await service.upload(content, lane=LANE_BACKFILL)))
    spent = await cost()
    assert (spent["photos"], spent["original_bytes"]) == (2, len(large) + len(small))
    async with service.database.read() as connection:
        rows = await (await connection.execute("SELECT sum(size_bytes)::int AS bytes FROM renditions")).fetchall()
    assert 0 < spent["derived_bytes"] < rows[0]["bytes"]
    assert 0.01 < spent["cpu_seconds"] < 5, "twelve megapixels take some time to decode"


async def test_renditions_have_etags_and_ranges(service: Service) -> None:
    async with role(service):
        photo_id = await service.upload(saved(quarters(2000, 1500), "JPEG"))
        await expect_soon(lambda: service.looked_at(photo_id))
    whole = await service.client.get(f"/photos/{photo_id}/preview")
    assert whole.headers["content-type"] == "image/jpeg"
    assert whole.headers["etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    part = await service.client.get(f"/photos/{photo_id}/preview", headers={"range": "bytes=2-9"})
    assert (part.status_code, part.content) == (206, whole.content[2:10])
    known = await service.client.get(f"/photos/{photo_id}/preview", headers={"if-none-match": whole.headers["etag"]})
    assert known.status_code == 304
    assert len((await service.client.get(f"/photos/{photo_id}/thumbnail")).content) < len(whole.content)


async def test_what_is_not_there_is_a_problem_with_a_code(service: Service) -> None:
    assert (await service.client.get(f"/photos/{uuid4()}/preview")).json()["code"] == "no_rendition"
    assert (await service.client.get(f"/faces/{uuid4()}")).json()["code"] == "unknown_face"
    assert (await service.client.post("/photos/query", json={"ids": [str(uuid4())] * 501})).status_code == 422


async def test_status_tells_of_the_queue_and_the_packs(service: Service) -> None:
    photo_id = await service.upload(saved(quarters(), "JPEG"))

    async def queued() -> bool:
        status = (await service.client.get("/status")).raise_for_status().json()
        return bool(status["queue"].get("analyse", {}).get("interactive", {}).get("pending") == 1)

    await expect_soon(queued)
    status = (await service.client.get("/status")).json()
    assert status["packs"] == {"face": "dlib", "tags": None}
    assert status["without_pack"] == ["tags", "text"]
    packs = (await service.client.get("/packs")).json()["packs"]
    assert [pack["name"] for pack in packs if pack["in_use"]] == ["dlib"]
    assert (await service.photo(photo_id))["state"] == "pending"


async def test_resync_says_ends_again_and_asks_for_what_was_forgotten(service: Service) -> None:
    async with role(service):
        photo_id = await service.upload(saved(quarters(), "JPEG"))
        await expect_soon(lambda: service.looked_at(photo_id))
    assert (await service.client.post("/resync")).json() == {"facts": 1}
    async with service.database.read() as connection:
        cursor = await connection.execute("SELECT data FROM outbox WHERE key = %s ORDER BY seq", [str(photo_id)])
        first, second = [row["data"] for row in await cursor.fetchall()]
    assert first == second


async def test_another_library_sees_nothing(service: Service) -> None:
    async with role(service):
        photo_id = await service.upload(saved(quarters(), "JPEG"))
        await expect_soon(lambda: service.looked_at(photo_id))
    (face,) = (await service.photo(photo_id))["faces"]
    other = f"http://ml-worker/internal/v1/libraries/{uuid4()}"
    answer = await service.client.post(f"{other}/photos/query", json={"ids": [str(photo_id)]})
    assert answer.json() == {"photos": []}
    for path in (f"photos/{photo_id}/preview", f"faces/{face['id']}"):
        assert (await service.client.get(f"{other}/{path}")).status_code == 404
