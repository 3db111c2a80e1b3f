"""The topics that Kafka has, against the catalogue: told apart, made, and never harmed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code
from aiokafka.protocol.admin import ApiVersionRequest

from gallery.adapters.kafka_cluster import GRACE, REQUEST_TIMEOUT, KafkaAwayError, KafkaCluster, milliseconds, reaching
from gallery.adapters.kafka_records import LARGEST_RECORD
from gallery.adapters.kafka_settings import KafkaSettings
from gallery.adapters.profile import Profile
from gallery.events.topics import CATALOGUE, Entry, Topic
from gallery.runtime import process
from gallery.runtime.background import finish
from gallery.runtime.errors import UnfitEngineError
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

NEEDED = "it needs Kafka 2.3 or newer: start it, or check GALLERY_KAFKA_SERVERS and who may log in"
FOREIGN = "it is another's or was changed: set GALLERY_KAFKA_PREFIX, or remove it and run gallery topics apply"
COPIES = 3
"""Of each fact, where there are as many brokers; all but one of them have it before it counts as said."""
LOOK_AGAIN_AFTER = timedelta(milliseconds=50)
"""The controller answers a moment before the brokers know of a topic."""
FOR_EVER = -1
_FIXED = frozenset({"partitions", "cleanup.policy"})
"""What makes a topic another one; we never change it."""
OWN_SETTING = 1
"""How Kafka marks a setting that was given to the topic itself, and is not a broker's or its own default."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something about a topic that is not as the catalogue has it.

    Attributes:
        topic: As the catalogue calls it.
        setting: As Kafka calls it; ``partitions`` for their number.
        found: Empty when the topic is missing.
        expected: What the catalogue says.
    """

    topic: Topic
    setting: str
    found: str
    expected: str

    @property
    def foreign(self) -> bool:
        """Whether the topic is not ours, or was harmed: keys would lie elsewhere, or facts be forgotten."""
        return bool(self.found) and self.setting in _FIXED

    @property
    def told(self) -> str:
        """The same as words."""
        was = f"has {self.setting}={self.found}" if self.found else "is missing"
        return f"{self.topic} {was}, where {self.setting}={self.expected} is needed"


@dataclass(frozen=True, slots=True)
class _Found:
    """A topic as Kafka has it: its partitions, all its settings, and those of them that were given to it."""

    partitions: int
    settings: Mapping[str, str]
    own: Mapping[str, str]


async def check(cluster: KafkaCluster) -> list[Difference]:
    """Tell every difference between Kafka and the catalogue.

    Raises:
        KafkaAwayError: Kafka does not answer.
    """
    with reaching():
        async with _admin(cluster) as admin:
            return _compare_all(await _found(admin, cluster))


async def supported(cluster: KafkaCluster) -> Mapping[int, tuple[int, int]]:
    """Return the oldest and the newest version of each request that a broker understands, by the request's number.

    Raises:
        KafkaAwayError: Kafka does not answer.
    """
    with reaching():
        async with _admin(cluster) as admin:
            answer: Any = await admin._send_request(ApiVersionRequest())  # noqa: SLF001 - there is no public way
            return {number: (oldest, newest) for number, oldest, newest in answer.api_versions}


async def apply(cluster: KafkaCluster) -> list[Difference]:
    """Make what is missing and keep facts as long, and as large ones, as the catalogue says; tell what was changed.

    Nothing is deleted or kept for less long. Where a topic is not ours nothing at all is changed.

    Raises:
        KafkaAwayError: Kafka does not answer.
        UnfitEngineError: A topic of one of our names has other partitions, with which keys would move and order be
            lost, or forgets facts by their keys.
    """
    with reaching():
        async with _admin(cluster) as admin:
            found = await _found(admin, cluster)
            differences = _compare_all(found)
            for each in differences:
                if each.foreign:
                    raise UnfitEngineError(f"kafka: {each.told}; {FOREIGN}")
            mended = [each for each in differences if _mendable(each)]
            missing = {each.topic for each in mended if not each.found}
            await _create(admin, cluster, missing)
            for topic in {each.topic for each in mended} - missing:
                grown = {each.setting: each.expected for each in mended if each.topic == topic}
                await _alter(admin, cluster.called(topic), {**found[topic].own, **grown})
            async with asyncio.timeout(REQUEST_TIMEOUT.total_seconds()):
                while any(map(_mendable, _compare_all(await _found(admin, cluster)))):  # noqa: ASYNC110  # Kafka tells nobody
                    await asyncio.sleep(LOOK_AGAIN_AFTER.total_seconds())
            return mended


def _compare_all(found: Mapping[Topic, _Found]) -> list[Difference]:
    return [each for topic in Topic for each in _compare(topic, found.get(topic))]


def _compare(topic: Topic, found: _Found | None) -> list[Difference]:
    entry = CATALOGUE[topic]
    if found is None:
        return [Difference(topic, "partitions", "", str(entry.partitions))]
    settings = [(name, found.settings[name], value) for name, value in _settings(entry).items()]
    pairs = [("partitions", str(found.partitions), str(entry.partitions)), *settings]
    return [Difference(topic, name, is_now, should) for name, is_now, should in pairs if is_now != should]


def _mendable(difference: Difference) -> bool:
    if not difference.found:
        return True
    if difference.foreign or int(difference.found) == FOR_EVER:
        return False
    return int(difference.expected) > int(difference.found)


def _settings(entry: Entry) -> dict[str, str]:
    return {
        "retention.ms": str(milliseconds(entry.retention)),
        "max.message.bytes": str(LARGEST_RECORD),
        "cleanup.policy": "delete",
    }


async def _found(admin: AIOKafkaAdminClient, cluster: KafkaCluster) -> dict[Topic, _Found]:
    there = set(await admin.list_topics())
    names = {cluster.called(topic): topic for topic in Topic if cluster.called(topic) in there}
    if not names:  # which the client would take for all
        return {}
    described = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics(list(names))}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = {}
    for answer in await admin.describe_configs(resources):
        for each in answer.to_object()["resources"]:
            _refuse(each)
            name, entries = each["resource_name"], each["config_entries"]
            found[names[name]] = _Found(
                partitions=described[name],
                settings={entry["config_names"]: entry["config_value"] for entry in entries},
                own={
                    entry["config_names"]: entry["config_value"]
                    for entry in entries
                    if entry["config_source"] == OWN_SETTING
                },
            )
    return found


async def _create(admin: AIOKafkaAdminClient, cluster: KafkaCluster, topics: set[Topic]) -> None:
    if not topics:
        return
    copies = min(COPIES, len((await admin.describe_cluster())["brokers"]))
    durable = {"min.insync.replicas": str(max(1, copies - 1))}
    new = [
        NewTopic(cluster.called(topic), entry.partitions, copies, topic_configs={**_settings(entry), **durable})
        for topic, entry in CATALOGUE.items()
        if topic in topics
    ]
    for error in (await admin.create_topics(new)).to_object()["topic_errors"]:
        if error["error_code"] != TopicAlreadyExistsError.errno:  # somebody else makes it at this moment
            _refuse(error)


async def _alter(admin: AIOKafkaAdminClient, name: str, settings: Mapping[str, str]) -> None:
    """Give a topic these settings; those that are not named are lost, so name all that it has."""
    for answer in await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, settings)]):
        for each in answer.to_object()["resources"]:
            _refuse(each)


def _refuse(answer: Mapping[str, Any]) -> None:
    if answer["error_code"]:
        raise for_code(answer["error_code"])(answer["error_message"])


@asynccontextmanager
async def _admin(cluster: KafkaCluster) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**cluster.address, request_timeout_ms=milliseconds(REQUEST_TIMEOUT))
    try:
        try:
            await finish(admin.start(), grace=GRACE)
        except KafkaConnectionError as error:
            raise KafkaAwayError(f"kafka: nobody answers at {cluster.servers}; {NEEDED}") from error
        yield admin
    finally:
        await finish(admin.close(), grace=GRACE)


async def _apply() -> None:
    cluster = Profile.read().settings(KafkaSettings).cluster
    await apply(cluster)
    for left in await check(cluster):
        log.warning(
            "topic left as it is", topic=left.topic, setting=left.setting, found=left.found, expected=left.expected
        )


def main() -> int:
    """Run the job of a deployment; people have ``gallery topics``."""
    return process.main("gallery-topics", roles={}, jobs={"apply": _apply})
