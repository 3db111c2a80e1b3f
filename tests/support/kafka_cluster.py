"""A gallery's own corner of the Kafka that all tests share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gallery.adapters.kafka_cluster import KafkaCluster
from gallery.adapters.kafka_records import to_record
from gallery.events.topics import Topic
from gallery.ports.bus import Message

Publish = Callable[[Sequence[Message]], Awaitable[None]]


async def fresh_cluster(servers: str, *, topics: Iterable[Topic] = Topic, partitions: int = 3) -> KafkaCluster:
    """Return a cluster with empty topics, which nobody else uses."""
    cluster = KafkaCluster(servers, prefix=f"test-{uuid4().hex[:8]}.")
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        new = [NewTopic(cluster.called(topic), partitions, 1) for topic in topics]
        answer = await admin.create_topics(new)
        assert all(error["error_code"] == 0 for error in answer.to_object()["topic_errors"]), answer
    finally:
        await admin.close()
    return cluster


async def records(cluster: KafkaCluster, topic: Topic) -> list[ConsumerRecord[bytes | None, bytes | None]]:
    """Return all that lies in a topic now, copies included, what was aborted left out."""
    found: list[ConsumerRecord[bytes | None, bytes | None]] = []
    async with AIOKafkaConsumer(
        cluster.called(topic),
        bootstrap_servers=cluster.servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    ) as consumer:
        for partition, end in (await consumer.end_offsets(list(consumer.assignment()))).items():
            while await consumer.position(partition) < end:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    found.extend(batch)
    return found


@asynccontextmanager
async def publishing(cluster: KafkaCluster) -> AsyncIterator[Publish]:
    """Yield what puts messages into Kafka, in their order."""
    producer = AIOKafkaProducer(bootstrap_servers=cluster.servers, enable_idempotence=True)
    await producer.start()

    async def publish(messages: Sequence[Message]) -> None:
        sent = [await producer.send(cluster.called(message.topic), **to_record(message)) for message in messages]
        await asyncio.gather(*sent)

    try:
        yield publish
    finally:
        await producer.stop()
