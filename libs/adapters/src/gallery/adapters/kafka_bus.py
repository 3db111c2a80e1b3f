"""The bus of the distributed profile: Kafka, with one consumer group per subscription and any number of members.

Offsets move only when the consumer commits, after its transactions. Partitions move between members: what a member was
given of them is finished within a moment or handed back, and the inbox makes what comes twice harmless.

What keeps a partition with its member: the client's heartbeats, which go on while handlers work, and the fetching here,
which never stops but is paused while much is waiting. Neither would notice a handler that hangs. The consumer ends such
an attempt; and should nothing at all come along for as long as ``patience``, the member gives up its place, so that
others get its partitions.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError

from gallery.adapters.deliveries import Progress
from gallery.adapters.kafka_cluster import GRACE, REQUEST_TIMEOUT, KafkaAwayError, KafkaCluster, milliseconds, reaching
from gallery.adapters.kafka_records import to_message
from gallery.ports.bus import Message
from gallery.runtime.background import background, finish
from gallery.runtime.bell import wait_for
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

Record = ConsumerRecord[bytes | None, bytes | None]

READ_AHEAD = 512
"""Fetching pauses while so many records wait to be handed out; half of them is little enough to go on."""
FETCH_BYTES = 128 << 10
"""Of one partition at a time; with small facts about as many as are read ahead."""
FETCH_TIMEOUT = timedelta(seconds=1)
FINISH_WITHIN = timedelta(seconds=2)
"""So long a rebalance waits for what is in flight; it holds up the whole group."""
SAVE_AGAIN_AFTER = timedelta(seconds=1)
SESSION = timedelta(seconds=6)
"""A member that died holds its partitions up for so long, and those of the others when it is started again meanwhile.
Brokers allow no less unless they are told to (``group.min.session.timeout.ms``)."""
PATIENCE = timedelta(minutes=15)
"""More than all attempts at one message can take, or a message that always hangs would come again for ever."""


class StuckError(KafkaAwayError):
    """Nothing that was handed out has come along for too long; the place is given up and asked for anew."""


@dataclass(slots=True)
class _Place:
    """One partition of ours.

    Attributes:
        progress: Of what was handed out.
        next: Offset behind the last record that was handed out, None when none was.
        unsaved: Offset up to which all is done, while Kafka does not know it.
    """

    progress: Progress[int] = field(default_factory=Progress)
    next: int | None = None
    unsaved: int | None = None

    @property
    def busy(self) -> bool:
        return self.progress.in_flight or self.unsaved is not None


class KafkaSubscription(ConsumerRebalanceListener):
    """One member of a consumer group."""

    def __init__(self, consumer: AIOKafkaConsumer, cluster: KafkaCluster, *, patience: timedelta) -> None:
        self.generation = 0
        self._consumer = consumer
        self._cluster = cluster
        self._patience = patience
        self._places: dict[TopicPartition, _Place] = {}
        self._fetched: deque[Record] = deque()
        self._arrived = asyncio.Event()
        self._assigned = asyncio.Event()
        self._came_along = asyncio.Event()
        self._last_came_along = _now()

    async def poll(self, *, limit: int, timeout: timedelta) -> Sequence[Message]:
        """See ``Subscription.poll``."""
        if not self._fetched:
            self._arrived.clear()
            await wait_for(self._arrived, timeout)
        messages: list[Message] = []
        while self._fetched and len(messages) < limit:
            messages.extend(self._hand_out(self._fetched.popleft()))
        if len(self._fetched) <= READ_AHEAD // 2:
            self._consumer.resume(*self._consumer.paused())
        return messages

    async def commit(self, messages: Sequence[Message]) -> None:
        """See ``Subscription.commit``."""
        done = {message.id for message in messages}
        for place in self._places.values():
            if (reached := place.progress.commit(done)) is not None:
                place.unsaved = reached
        self._note_that_it_came_along()
        while offsets := {tp: place.unsaved for tp, place in self._places.items() if place.unsaved is not None}:
            if not await self._save(offsets):
                await wait_for(self._assigned, SAVE_AGAIN_AFTER)

    async def fetch(self) -> None:
        """Fetch ahead until cancelled.

        Raises:
            StuckError: See ``patience`` of the bus.
            KafkaAwayError: The place in the group is lost.
        """
        while True:
            self._refuse_to_be_stuck()
            with reaching():
                fetched = await self._consumer.getmany(timeout_ms=milliseconds(FETCH_TIMEOUT))
            for records in fetched.values():
                self._fetched.extend(records)
            if self._fetched:
                self._arrived.set()
            if len(self._fetched) >= READ_AHEAD:
                self._consumer.pause(*self._consumer.assignment())

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:  # noqa: ARG002  # all of them are
        """Hand out nothing more, and let the group wait a moment for what is in flight."""
        self._assigned.clear()
        self._fetched.clear()
        deadline = _now() + FINISH_WITHIN.total_seconds()
        while any(place.busy for place in self._places.values()) and (left := deadline - _now()) > 0:
            self._came_along.clear()
            await wait_for(self._came_along, timedelta(seconds=left))

    def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Go on where we are with what we keep; begin where the group is with the rest, and forget what we lost."""
        self.generation += 1
        kept = {tp: place for tp, place in self._places.items() if tp in assigned and place.busy}
        self._places = {tp: kept.get(tp) or _Place() for tp in assigned}
        for tp, place in kept.items():
            self._consumer.seek(tp, place.next)
        self._assigned.set()
        log.info("partitions assigned", generation=self.generation, partitions=len(assigned), kept=len(kept))

    def _hand_out(self, record: Record) -> Iterable[Message]:
        place = self._places[TopicPartition(record.topic, record.partition)]
        message = to_message(record, topic=self._cluster.original(record.topic))
        if not any(each.progress.in_flight for each in self._places.values()):
            self._last_came_along = _now()
        place.next = record.offset + 1
        if place.progress.hand_out(message.id, place.next):
            yield message

    async def _save(self, offsets: dict[TopicPartition, int]) -> bool:
        try:
            with reaching():
                await self._consumer.commit(offsets)
        except KafkaAwayError as error:
            if not isinstance(error.__cause__, CommitFailedError | IllegalStateError):
                raise
            log.info("partitions moved before their offsets were saved", cause=repr(error.__cause__))
            self._assigned.clear()
            return False
        for tp, offset in offsets.items():
            place = self._places.get(tp)
            if place is not None and place.unsaved == offset:
                place.unsaved = None
        self._note_that_it_came_along()
        return True

    def _note_that_it_came_along(self) -> None:
        self._last_came_along = _now()
        self._came_along.set()

    def _refuse_to_be_stuck(self) -> None:
        waited = _now() - self._last_came_along
        if waited > self._patience.total_seconds() and any(place.progress.in_flight for place in self._places.values()):
            raise StuckError(f"nothing came along for {waited:.0f} s")


class KafkaBus:
    """Reads the topics of one cluster.

    Args:
        cluster: Where it is.
        member: A name of this process that outlives it, and that no other one has: one that comes back within
            ``session`` gets its partitions back, and nobody has to move. Without a name it leaves the group at the end.
        session: A member that is not heard of for so long loses its partitions.
        patience: See the module.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        *,
        member: str | None = None,
        session: timedelta = SESSION,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._cluster = cluster
        self._member = member
        self._session = session
        self._patience = patience

    @asynccontextmanager
    async def subscribe(self, name: str, topics: Sequence[str]) -> AsyncIterator[KafkaSubscription]:
        """See ``Bus.subscribe``; any number of members share the partitions.

        Raises:
            KafkaAwayError: Kafka does not answer, a topic is missing, or the place in the group is lost later on.
        """
        consumer = self._consumer(name)
        subscription = KafkaSubscription(consumer, self._cluster, patience=self._patience)
        consumer.subscribe([self._cluster.called(topic) for topic in topics], listener=subscription)
        try:
            with reaching():
                await finish(consumer.start(), grace=GRACE)
            async with background(fetch=subscription.fetch()):
                yield subscription
        finally:
            await finish(consumer.stop(), grace=GRACE)

    def _consumer(self, name: str) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._cluster.address,
            group_id=self._cluster.called(f"gallery.{name}"),
            group_instance_id=self._member,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=milliseconds(self._session),
            heartbeat_interval_ms=milliseconds(self._session / 10),
            max_poll_interval_ms=milliseconds(self._patience),
            rebalance_timeout_ms=milliseconds(self._session + FINISH_WITHIN),
            request_timeout_ms=milliseconds(self._session + REQUEST_TIMEOUT),
            max_partition_fetch_bytes=FETCH_BYTES,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
