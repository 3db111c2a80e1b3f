"""What stands behind a port tells how much is left to do, and how much room there is."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.measured import page
from support.outbox import say, speaking
from support.waiting import expect_soon

from gallery.adapters.kafka_cluster import KafkaCluster
from gallery.adapters.kafka_relay import KafkaRelay
from gallery.adapters.postgres_bus import PostgresBus
from gallery.adapters.profile import Profile, ProfileSettings
from gallery.events.topics import Topic
from gallery.runtime.background import background
from gallery.runtime.retry import RetryPolicy


async def test_a_relay_without_kafka_tells_what_waits(database_url: str) -> None:
    async with (
        speaking(database_url) as database,
        PostgresBus.open(database_url, home="metadata", producers={Topic.CATALOGUE: "metadata"}) as outbox,
    ):
        await say(database, ["a", "b", "c"], [1])
        relay = KafkaRelay(
            service="metadata",
            outbox=outbox,
            topics=[Topic.CATALOGUE],
            cluster=KafkaCluster(servers="127.0.0.1:9"),
            policy=RetryPolicy(first_pause=timedelta(milliseconds=10)),
        )
        async with background(relay=relay.run()):

            async def told() -> bool:
                shown = await page()
                oldest = shown.value("gallery_relay_oldest_seconds", service="metadata") or 0
                return oldest > 0 and shown.value("gallery_relay_unpublished_facts", service="metadata") == 3

            await expect_soon(told)


async def test_a_folder_of_blobs_tells_how_much_room_there_is(tmp_path: Path) -> None:
    profile = Profile(ProfileSettings(data=tmp_path), kinds=())
    async with profile.blobs() as blobs:
        room = (await page()).value("gallery_blobs_free_bytes")
        assert room == pytest.approx(await blobs.room(), rel=0.1)
    assert (await page()).value("gallery_blobs_free_bytes") is None
