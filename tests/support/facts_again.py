"""Facts in Kafka behind the relays' back: said again, or never said by anybody of ours."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from gallery.adapters.kafka_records import to_message, to_record
from gallery.events.topics import Topic
from gallery.ports.bus import Message

QUIET_AFTER_MILLISECONDS = 3000


async def publish(servers: str, messages: Sequence[Message]) -> None:
    """Put facts into Kafka; each is there when this returns, and may be there when it raises."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    try:  # also when it cannot start: one that nobody stopped complains
        await producer.start()
        await asyncio.gather(*[await producer.send(each.topic, **to_record(each)) for each in messages])
    finally:
        await producer.stop()


async def repeat_everything(servers: str) -> int:
    """Say all facts a second time, from the first on; how many there were."""
    messages: list[Message] = []
    async with AIOKafkaConsumer(
        *Topic, bootstrap_servers=servers, auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        while found := await consumer.getmany(timeout_ms=QUIET_AFTER_MILLISECONDS):
            messages += [
                to_message(record, topic=partition.topic) for partition, some in found.items() for record in some
            ]
    await publish(servers, messages)
    return len(messages)
