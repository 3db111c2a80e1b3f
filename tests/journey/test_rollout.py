"""Old and new processes of a service side by side, while a changed event or a migrated schema is rolled out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.message import Message as Body
from support.engines.kafka import Kafka
from support.kafka_cluster import fresh_cluster, records
from support.metadata import LIBRARY, Service, metadata_service
from support.waiting import expect_soon

from gallery.adapters.kafka_bus import KafkaBus
from gallery.adapters.kafka_cluster import KafkaCluster
from gallery.adapters.kafka_relay import KafkaRelay
from gallery.adapters.postgres_bus import PostgresBus
from gallery.events.topics import TYPES, Topic
from gallery.metadata.errors import OriginalUnknownError
from gallery.metadata.events import Facts
from gallery.ports.bus import Bus
from gallery.runtime import dead_letters, partitions
from gallery.runtime.background import background
from gallery.runtime.consumer import Consumer, Delivery, Handler
from gallery.runtime.database import Database
from gallery.runtime.ids import uuid7
from gallery.runtime.migrations import migrate
from gallery.runtime.outbox import Fact, append

pytestmark = pytest.mark.engine

Contracts = Mapping[str, type[Body]]
"""Messages of one release by name."""

TODAY: Contracts = {body.DESCRIPTOR.name: body for bodies in TYPES.values() for body in bodies}
TOPICS = (Topic.UPLOADS, Topic.ANALYSIS)
EVERY_STAGE = ("rendered", "faces", "tags", "text", "people")
SESSION = timedelta(seconds=2)
PHOTOS = 8
"""Of each producer at each step of a roll-out."""

SAYING = "saying"
"""Schema of who says everything here; uploads and analysis share it, since a relay carries both alike."""


def done(stage: str) -> dict[str, Any]:
    return {"stage": stage, "state": "STAGE_STATE_DONE"}


@dataclass
class Producer:
    """A process that says what becomes of photos, in the words of its release."""

    database: Database
    contracts: Contracts
    photos: list[UUID] = field(default_factory=list)

    async def say(self, name: str, content: dict[str, Any], *, topic: Topic, revision: int) -> None:
        body = json_format.ParseDict(content, self.contracts[name]())
        key = content["photo_id"]
        async with self.database.transaction(keys=[key]) as tx:
            await append(tx, Fact(topic, key, LIBRARY, revision, body))

    async def see_through(self, photo_id: UUID) -> None:
        """Tell the story of a photo; a later release has more to tell, and puts one stage off."""
        newer = self.contracts is not TODAY
        named = {"photo_id": str(photo_id)}
        lane = {"lane": "LANE_NIGHT", "moving_ms": 1500} if newer else {"lane": "LANE_BACKFILL"}
        await self.say("PhotoUploaded", {**named, "blob_key": f"b/{photo_id}", **lane}, topic=Topic.UPLOADS, revision=1)
        if newer:
            first = [done("rendered"), done("objects"), {"stage": "text", "state": "STAGE_STATE_POSTPONED"}]
            begun = {**named, "stages": first, "objects": 3}
            await self.say("PhotoAnalysed", begun, topic=Topic.ANALYSIS, revision=1)
            await self.stack(photo_id)
        whole = {**named, "stages": [done(stage) for stage in EVERY_STAGE], "width": 640, "height": 480}
        await self.say("PhotoAnalysed", whole, topic=Topic.ANALYSIS, revision=2)
        self.photos.append(photo_id)

    async def stack(self, photo_id: UUID) -> None:
        """Say a fact of a type that only the next release has."""
        lies_on = {"photo_id": str(photo_id), "top_id": str(LIBRARY)}
        await self.say("PhotoStacked", lies_on, topic=Topic.UPLOADS, revision=1)


@dataclass
class Member:
    """A process of metadata; the next release also keeps which photos lie on which."""

    service: Service
    contracts: Contracts
    heard: list[Any] = field(default_factory=list)

    def consumer(self, bus: Bus) -> Consumer:
        """What shares the subscription with all others."""
        handlers: dict[type[Body], Handler] = {
            self.contracts[kind.__name__]: self.counting(handle)
            for kind, handle in Facts(self.service.facts).handlers().items()
        }
        if stacked := self.contracts.get("PhotoStacked"):
            handlers[stacked] = self.counting(self.keep_stack)
        database = self.service.database
        return Consumer(name="metadata", bus=bus, database=database, topics=TOPICS, handlers=handlers)

    def counting(self, handle: Handler) -> Handler:
        async def counted(delivery: Delivery, body: Any) -> None:
            await handle(delivery, body)
            self.heard.append(body)

        return counted

    async def keep_stack(self, delivery: Delivery, body: Any) -> None:
        async with delivery.transaction() as tx:
            values = [body.photo_id, body.top_id]
            await tx.execute("INSERT INTO stacks VALUES (%s, %s) ON CONFLICT (photo_id) DO NOTHING", values)


@dataclass
class RollOut:
    """Two releases, what they share, and who runs at the moment."""

    service: Service
    saying: Database
    outbox: PostgresBus
    cluster: KafkaCluster
    next: Contracts

    @asynccontextmanager
    async def member(self, contracts: Contracts) -> AsyncIterator[Member]:
        member = Member(self.service, contracts)
        async with background(member=member.consumer(KafkaBus(self.cluster, session=SESSION)).run()):
            yield member

    def relay(self) -> KafkaRelay:
        """Of today; it has never heard of what the next release says."""
        return KafkaRelay(service=SAYING, outbox=self.outbox, topics=TOPICS, cluster=self.cluster)

    async def say(self, *producers: Producer) -> None:
        """Let all speak at once, each of photos of its own."""
        for _ in range(PHOTOS):
            photo_ids = [uuid7() for _ in producers]
            for photo_id in photo_ids:
                await self.service.put(photo_id)
            await asyncio.gather(*(each.see_through(one) for each, one in zip(producers, photo_ids, strict=True)))

    async def say_until_heard(self, *members: Member, producers: Collection[Producer]) -> None:
        """Speak until each of these members has had something to do."""
        before = [len(member.heard) for member in members]
        async with asyncio.timeout(60):
            while any(len(member.heard) <= had for member, had in zip(members, before, strict=True)):
                await self.say(*producers)

    async def expect_ended(self, photo_ids: Collection[UUID]) -> None:
        """Wait until every stage of these that does not wait for search is done."""

        async def ended() -> bool:
            query = "SELECT count(*) AS left FROM ledger WHERE state <> 'done' AND stage <> 'indexed'"
            rows = await self.service.rows("SELECT count(DISTINCT photo_id) AS photos FROM ledger")
            return (rows[0]["photos"], (await self.service.rows(query))[0]["left"]) == (len(photo_ids), 0)

        await expect_soon(ended)

    async def stacks(self) -> set[UUID]:
        """Photos of which the next release knows where they lie."""
        return {row["photo_id"] for row in await self.service.rows("SELECT photo_id FROM stacks")}

    async def expect_stacks(self, photo_ids: Collection[UUID]) -> None:
        async def all_there() -> bool:
            return await self.stacks() == set(photo_ids)

        await expect_soon(all_there)

    async def end_states(self) -> dict[UUID, str]:
        """What the catalogue keeps of each photo, less ids and times."""
        rows = await self.service.rows(
            "SELECT photo_id, jsonb_object_agg(stage, jsonb_build_array(ledger.state, reason, pack))::text"
            " || jsonb_build_array(width, height, media_type)::text AS state"
            " FROM ledger JOIN photos ON photos.id = photo_id GROUP BY photo_id, width, height, media_type"
        )
        return {row["photo_id"]: row["state"] for row in rows}


@pytest_asyncio.fixture
async def roll_out(database_url: str, kafka: Kafka, of_next: Contracts) -> AsyncIterator[RollOut]:
    await migrate(database_url, schema=SAYING, packages=[])
    cluster = await fresh_cluster(kafka.servers, topics=TOPICS)
    async with (
        metadata_service(database_url) as service,
        Database.open(database_url, schema=SAYING) as saying,
        PostgresBus.open(database_url, home=SAYING, producers=dict.fromkeys(TOPICS, SAYING)) as outbox,
    ):
        await partitions.renew(saying)
        async with service.database.transaction() as tx:  # the migration of the next release: it adds
            await tx.execute("CREATE TABLE stacks (photo_id uuid PRIMARY KEY, top_id uuid NOT NULL)")
        yield RollOut(service, saying, outbox, cluster, of_next)


async def test_photos_end_alike_whoever_said_and_whoever_heard(roll_out: RollOut) -> None:
    old, new = Producer(roll_out.saying, TODAY), Producer(roll_out.saying, roll_out.next)
    both = (old, new)
    async with background(relay=roll_out.relay().run()), AsyncExitStack() as first, AsyncExitStack() as second:
        one = await first.enter_async_context(roll_out.member(TODAY))
        other = await second.enter_async_context(roll_out.member(TODAY))
        await roll_out.say_until_heard(one, other, producers=[old])
        await roll_out.say(*both)  # still on its way when the first member goes
        await first.aclose()
        async with roll_out.member(roll_out.next) as newer:
            await roll_out.say_until_heard(newer, other, producers=both)
            await roll_out.say(*both)
            await second.aclose()
            async with roll_out.member(roll_out.next) as newest:
                await roll_out.say_until_heard(newer, newest, producers=both)
                await roll_out.expect_ended([*old.photos, *new.photos])
                assert len(await roll_out.stacks()) < len(new.photos), "old members have passed some over"
                for photo_id in new.photos:  # as `gallery events resync` has owners do
                    await new.stack(photo_id)
                await roll_out.expect_stacks(new.photos)
    states = await roll_out.end_states()
    assert states.keys() == {*old.photos, *new.photos}
    assert len(set(states.values())) == 1, Counter(states.values())
    assert await dead_letters.listing(roll_out.service.database) == []


async def test_an_old_relay_passes_on_what_it_has_no_words_for(roll_out: RollOut) -> None:
    producer = Producer(roll_out.saying, roll_out.next)
    relay = roll_out.relay()

    async def nothing_waits() -> bool:
        return (await relay.backlog()).rows == 0

    async with background(relay=relay.run()):
        await producer.see_through(uuid7())
        await expect_soon(nothing_waits)
    lying = {
        dict(record.headers)["ce_type"].decode(): record.value or b""
        for record in await records(roll_out.cluster, Topic.UPLOADS)
    }
    assert lying.keys() == {"gallery.events.v1.PhotoUploaded", "gallery.events.v1.PhotoStacked"}
    assert moving(roll_out.next["PhotoUploaded"].FromString(lying["gallery.events.v1.PhotoUploaded"])) == 1500


async def test_an_old_member_s_dead_letters_are_whole_for_a_new_one(roll_out: RollOut) -> None:
    producer, photo_id = Producer(roll_out.saying, roll_out.next), uuid7()
    database = roll_out.service.database

    async def given_up() -> bool:
        return len(await dead_letters.listing(database)) == 1

    async with background(relay=roll_out.relay().run()):
        async with roll_out.member(TODAY):
            await producer.see_through(photo_id)  # of which upload knows nothing yet
            await expect_soon(given_up)
        [letter] = await dead_letters.listing(database)
        assert OriginalUnknownError.__name__ in letter["cause"]
        await roll_out.service.put(photo_id)
        async with roll_out.member(roll_out.next) as newer:
            await dead_letters.replay(database, letter["id"])
            await roll_out.expect_ended([photo_id])
    # Once by the letter, and once more by Kafka where the old member ended before its place was saved.
    assert {moving(body) for body in newer.heard if body.DESCRIPTOR.name == "PhotoUploaded"} == {1500}


def moving(body: Body) -> int:
    """Milliseconds that a photo moves, as only the next release can ask."""
    return int(json_format.MessageToDict(body, preserving_proto_field_name=True)["moving_ms"])
