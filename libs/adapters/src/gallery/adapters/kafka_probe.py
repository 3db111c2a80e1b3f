"""Whether Kafka is there, new enough, and has our topics and nobody else's under their names."""

from collections.abc import Collection, Iterable, Mapping

from gallery.adapters.findings import Finding
from gallery.adapters.kafka_cluster import KafkaAwayError, KafkaCluster
from gallery.adapters.kafka_topics import FOREIGN, NEEDED, Difference, check, supported
from gallery.events.topics import CATALOGUE, Topic

_NEEDED = {11: ("JoinGroup", 5), 22: ("InitProducerId", 1), 32: ("DescribeConfigs", 1)}
"""Requests by their number in Kafka's protocol, and the version of them that we need: that of Kafka 2.3."""
_FETCH, _SINCE_4 = 1, 4
"""Kafka 4.0 forgot the oldest versions of this request (KIP-896)."""

_TUNED = "gallery topics apply keeps facts longer where they are kept too short; what is kept longer may stay"


def topics_of(service: str) -> list[Topic]:
    """Return what a service speaks on or listens to; others need not be visible to it."""
    name = service.replace("_", "-")
    return [topic for topic, entry in CATALOGUE.items() if name in (entry.producer, *entry.consumers)]


async def probe(cluster: KafkaCluster, *, topics: Collection[Topic] = tuple(Topic)) -> list[Finding]:
    """Look, and change nothing."""
    try:
        versions = await supported(cluster)
        if lacking := _lacking(versions):
            return [Finding("kafka", ok=False, found=f"{cluster.servers} lacks {lacking}", advice=NEEDED)]
        differences = [each for each in await check(cluster) if each.topic in topics]
    except KafkaAwayError as error:
        found = str(error).removeprefix("kafka: ").removesuffix(f"; {NEEDED}")
        return [Finding("kafka", ok=False, found=found, advice=NEEDED)]
    generation = "4 or newer" if versions[_FETCH][0] >= _SINCE_4 else "2 or 3"
    return [Finding("kafka", ok=True, found=f"version {generation} at {cluster.servers}"), *_judged(differences)]


def _lacking(versions: Mapping[int, tuple[int, int]]) -> str:
    """Name the requests that it does not know, or not new enough."""
    lacking = [
        name for number, (name, version) in _NEEDED.items() if number not in versions or versions[number][1] < version
    ]
    return ", ".join(lacking)


def _judged(differences: Iterable[Difference]) -> list[Finding]:
    found = [
        Finding(
            "kafka topics",
            ok=False,
            found=each.told,
            advice="run gallery topics apply" if not each.found else FOREIGN if each.foreign else _TUNED,
            needed=each.foreign or not each.found,
        )
        for each in differences
    ]
    return found or [Finding("kafka topics", ok=True, found="as the catalogue has them")]
