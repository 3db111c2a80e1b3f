"""The composition root: a fact on the bus becomes an answer."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

from httpx import AsyncClient
from support.measured import Growth
from support.search_owners import FakeOwners

from gallery.adapters.memory_bus import MemoryBus
from gallery.adapters.memory_search_index import MemorySearchIndex
from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PersonNamed, PhotoChanged
from gallery.ports.bus import Message
from gallery.runtime import partitions
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.search.main import consuming, serving
from gallery.search.settings import SearchSettings

LIBRARY, PHOTO, ANNA = UUID(int=1), UUID(int=2), UUID(int=3)


def said(body: PhotoChanged | PersonNamed, *, key: UUID, topic: Topic) -> Message:
    return Message(
        id=uuid4(),
        topic=topic,
        type=body.DESCRIPTOR.full_name,
        key=str(key),
        library_id=LIBRARY,
        revision=1,
        at=datetime.now(UTC),
        data=body.SerializeToString(),
    )


async def test_a_changed_photo_and_a_named_person_can_be_found(database_url: str) -> None:
    await migrate(database_url, schema="search", packages=["gallery.search"])
    owners, bus, index = FakeOwners(names={ANNA: "Anna"}), MemoryBus(), MemorySearchIndex()
    owners.add(PHOTO, faces=[{"person_id": str(ANNA), "state": "assigned"}])
    async with Database.open(database_url, schema="search") as database:
        await partitions.renew(database)
        async with (
            owners.metadata() as metadata,
            owners.ml_worker() as ml_worker,
            consuming(
                settings=SearchSettings(),
                database=database,
                bus=bus,
                index=index,
                metadata=metadata,
                ml_worker=ml_worker,
            ),
            serving(settings=SearchSettings(), database=database, index=index) as app,
            AsyncClient(transport=AsgiTransport(app), base_url="http://search") as http,
            Growth() as growth,
            asyncio.timeout(20),
        ):
            await bus.publish(
                [
                    said(PhotoChanged(photo_id=str(PHOTO)), key=PHOTO, topic=Topic.CATALOGUE),
                    said(PersonNamed(person_id=str(ANNA)), key=ANNA, topic=Topic.PEOPLE),
                ]
            )
            found: list[dict[str, object]] = []
            while not found:
                await asyncio.sleep(0.02)
                answer = await http.get(f"/internal/v1/libraries/{LIBRARY}/search", params={"q": "person:anna"})
                found = answer.json()["photos"]
            assert found == [{"id": str(PHOTO), "score": 1.0}]
            assert (await http.get("/health/ready")).json()["parts"] == {"database": True}
            assert await growth.of("gallery_indexed_photos_total") >= 1
            assert await growth.of("gallery_index_pass_seconds_count") >= 1
            assert await growth.of("gallery_search_seconds_count") >= 1
