"""Carries the facts of one service from its outbox to Kafka, each batch in one transaction, in the order of commits.

One relay works for a service; others of it wait for their turn. Who gets the turn takes over the transactional id, and
with it fences whoever had it: a relay that was cut off from Postgres, or slept, can publish nothing any more. Its place
is kept in Postgres, beside the outbox, after Kafka has committed; a relay that dies in between publishes a batch again
(docs/adr/0010-relay.md).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from gallery.adapters.kafka_cluster import GRACE, REQUEST_TIMEOUT, KafkaCluster, milliseconds, reaching
from gallery.adapters.kafka_records import LARGEST_RECORD, to_record
from gallery.adapters.postgres_bus import Backlog, PostgresBus
from gallery.events.topics import Topic
from gallery.ports.bus import Message
from gallery.runtime import metrics
from gallery.runtime.background import background, finish
from gallery.runtime.logs import get_logger
from gallery.runtime.retry import RetryPolicy, outlast

log = get_logger(__name__)

BATCH = 500
"""Facts of one transaction; 10 ms on one machine, and little to publish again."""
POLL_TIMEOUT = timedelta(seconds=1)
TRANSACTION_TIMEOUT = timedelta(seconds=10)
"""A transaction that a dead relay left open holds up all readers of its partitions for so long at most."""
PATIENCE = timedelta(seconds=3)
"""With a broker that does not answer, at the end."""
CANCEL_AGAIN_AFTER = timedelta(milliseconds=100)
LOOK_EVERY = timedelta(seconds=15)
BEHIND = timedelta(minutes=1)
"""Facts that wait longer are worth a warning."""


class KafkaRelay:
    """Publishes what one service says.

    Args:
        service: Names the transactional id, and the place in the outbox.
        outbox: Reads that service's outbox, and keeps the relay's place there.
        topics: What the service produces.
        cluster: Where to publish.
        policy: For when Kafka or Postgres is away.
    """

    def __init__(
        self,
        *,
        service: str,
        outbox: PostgresBus,
        topics: Sequence[Topic],
        cluster: KafkaCluster,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._service = service
        self._name = f"relay {service}"
        self._outbox = outbox
        self._topics = topics
        self._cluster = cluster
        self._policy = policy or RetryPolicy()

    async def run(self) -> None:
        """Publish until cancelled; whatever is away is waited for."""
        with metrics.sampled(self._sample):
            async with background(
                relay=outlast(self._relay, what=self._name, policy=self._policy),
                backlog=outlast(self._watch, what=f"backlog of {self._name}", policy=self._policy),
            ):
                await asyncio.Event().wait()

    async def backlog(self) -> Backlog:
        """Measure what is not published yet."""
        return await self._outbox.backlog(self._name, self._topics)

    async def _sample(self) -> list[metrics.Sample]:
        backlog = await self.backlog()
        age = metrics.RELAY_LAG.at(backlog.age.total_seconds(), self._service)
        return [age, metrics.UNPUBLISHED.at(backlog.rows, self._service)]

    async def _relay(self) -> None:
        async with self._outbox.subscribe(self._name, self._topics) as subscription, self._producer() as producer:
            while True:
                messages = await subscription.poll(limit=BATCH, timeout=POLL_TIMEOUT)
                if messages:
                    await self._publish(producer, messages)
                    await subscription.commit(messages)

    async def _publish(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
        with reaching():
            async with producer.transaction():
                sent = [await producer.send(self._cluster.called(each.topic), **to_record(each)) for each in messages]
                # The client commits a transaction although a batch of it failed; only its futures tell.
                await asyncio.gather(*sent)

    async def _watch(self) -> None:
        while True:
            backlog = await self.backlog()
            if backlog.age > BEHIND:
                seconds = backlog.age.total_seconds()
                log.warning("relay is behind", service=self._service, rows=backlog.rows, seconds=seconds)
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            **self._cluster.address,
            transactional_id=self._cluster.called(f"gallery.{self._service}"),
            transaction_timeout_ms=milliseconds(TRANSACTION_TIMEOUT),
            request_timeout_ms=milliseconds(REQUEST_TIMEOUT),
            max_request_size=LARGEST_RECORD,
        )
        try:
            with reaching():
                await finish(producer.start(), grace=GRACE)
            yield producer
        finally:
            await finish(_stop(producer), grace=GRACE)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Close a producer, also one whose broker is away: by itself it waits for it to come back."""
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await producer.stop()
    except TimeoutError:
        await _abandon(producer)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """End the client's own tasks, which ask for the broker for ever and of which each hears one cancellation."""
    producer._message_accumulator.fail_all(KafkaConnectionError("given up"))  # noqa: SLF001 - there is no public way
    sender = producer._sender.sender_task  # noqa: SLF001 - there is no public way
    while sender is not None and not sender.done():
        sender.cancel()
        await asyncio.wait([sender], timeout=CANCEL_AGAIN_AFTER.total_seconds())
    await producer.client.close()
