"""Topics become what the catalogue says, and what somebody else did to them is left alone or told."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from support.engines.kafka import Kafka
from support.waiting import expect_soon

from gallery.adapters.kafka_bus import KafkaBus
from gallery.adapters.kafka_cluster import KafkaAwayError, KafkaCluster
from gallery.adapters.kafka_topics import Difference, apply, check
from gallery.events.topics import Topic
from gallery.runtime.errors import UnfitEngineError

pytestmark = pytest.mark.engine

REQUEST_TIMEOUT_OF_THE_IMPATIENT = timedelta(seconds=2)
WEEK, DAY, YEAR = str(7 * 86_400_000), str(86_400_000), str(365 * 86_400_000)


@pytest.fixture
def cluster(kafka: Kafka) -> KafkaCluster:
    return KafkaCluster(kafka.servers, prefix=f"test-{uuid4().hex[:8]}.")


@asynccontextmanager
async def administering(cluster: KafkaCluster) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def make(cluster: KafkaCluster, topic: Topic, *, partitions: int = 12, **settings: str) -> None:
    async with administering(cluster) as admin:
        named = {name.replace("_", "."): value for name, value in settings.items()}
        await admin.create_topics([NewTopic(cluster.called(topic), partitions, 1, topic_configs=named)])

        async def there() -> bool:
            return cluster.called(topic) in await admin.list_topics()

        await expect_soon(there)


async def settings_of(cluster: KafkaCluster, topic: Topic) -> Mapping[str, str]:
    async with administering(cluster) as admin:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, cluster.called(topic))])
        entries = answers[0].to_object()["resources"][0]["config_entries"]
        return {entry["config_names"]: entry["config_value"] for entry in entries}


async def test_what_is_missing_is_told_and_made_once(cluster: KafkaCluster) -> None:
    missing = [Difference(topic, "partitions", "", "12") for topic in Topic]
    assert await check(cluster) == missing
    assert await apply(cluster) == missing
    assert await check(cluster) == []
    assert await apply(cluster) == []
    assert (await settings_of(cluster, Topic.PEOPLE))["retention.ms"] == WEEK


async def test_facts_are_kept_longer_and_other_settings_stay(cluster: KafkaCluster) -> None:
    await make(cluster, Topic.PEOPLE, retention_ms=DAY, segment_bytes="2000000")
    assert Difference(Topic.PEOPLE, "retention.ms", DAY, WEEK) in await apply(cluster)
    assert await check(cluster) == []
    settings = await settings_of(cluster, Topic.PEOPLE)
    assert (settings["retention.ms"], settings["segment.bytes"]) == (WEEK, "2000000")


@pytest.mark.parametrize("retention", [YEAR, "-1"])
async def test_what_is_kept_longer_than_it_need_is_told_and_left(cluster: KafkaCluster, retention: str) -> None:
    await make(cluster, Topic.PEOPLE, retention_ms=retention, max_message_bytes=str(64 << 20))
    await apply(cluster)
    assert await check(cluster) == [
        Difference(Topic.PEOPLE, "retention.ms", retention, WEEK),
        Difference(Topic.PEOPLE, "max.message.bytes", str(64 << 20), str(8 << 20)),
    ]


@pytest.mark.parametrize(
    ("made", "left"),
    [
        ({"partitions": 3}, Difference(Topic.PEOPLE, "partitions", "3", "12")),
        ({"partitions": 24}, Difference(Topic.PEOPLE, "partitions", "24", "12")),
        ({"cleanup_policy": "compact"}, Difference(Topic.PEOPLE, "cleanup.policy", "compact", "delete")),
    ],
)
async def test_a_topic_of_another_kind_is_refused_and_nothing_is_made(
    cluster: KafkaCluster, made: dict[str, Any], left: Difference
) -> None:
    await make(cluster, Topic.PEOPLE, **made, retention_ms=DAY)
    before = await check(cluster)
    assert left in before
    with pytest.raises(UnfitEngineError, match="GALLERY_KAFKA_PREFIX"):
        await apply(cluster)
    assert await check(cluster) == before


async def test_who_listens_to_a_missing_topic_is_told_what_to_do(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.adapters.kafka_bus.REQUEST_TIMEOUT", REQUEST_TIMEOUT_OF_THE_IMPATIENT)
    with pytest.raises(KafkaAwayError, match="a topic is missing"):
        async with KafkaBus(cluster).subscribe("anybody", [Topic.PEOPLE]):
            pytest.fail("subscribed")


def test_the_command_makes_topics_and_tells_what_it_leaves(cluster: KafkaCluster) -> None:
    def topics(verb: str) -> tuple[int, Any]:
        command = [str(Path(sys.executable).parent / "gallery"), "topics", verb, "--json"]
        settings = {"GALLERY_KAFKA_SERVERS": cluster.servers, "GALLERY_KAFKA_PREFIX": cluster.prefix}
        done = subprocess.run(command, env=os.environ | settings, stdout=subprocess.PIPE, check=False)
        return done.returncode, json.loads(done.stdout)

    asyncio.run(make(cluster, Topic.PEOPLE, retention_ms=YEAR))
    left = [{"topic": "gallery.people", "setting": "retention.ms", "found": YEAR, "expected": WEEK}]
    assert topics("check")[0] == 1
    code, answer = topics("apply")
    assert (code, answer["differences"]) == (0, left)
    assert {change["topic"] for change in answer["changed"]} == {str(topic) for topic in Topic}
    assert topics("check") == (1, {"differences": left})


def test_a_deployment_makes_topics_by_a_job(cluster: KafkaCluster) -> None:
    command = str(Path(sys.executable).parent / "gallery-topics")
    settings = {"GALLERY_KAFKA_SERVERS": cluster.servers, "GALLERY_KAFKA_PREFIX": cluster.prefix}
    subprocess.run([command, "apply"], env=os.environ | settings, check=True)
    assert asyncio.run(check(cluster)) == []
