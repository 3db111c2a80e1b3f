"""A fact as a record of Kafka: identity in the headers, protobuf as the value, the key deciding on the partition."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypedDict
from uuid import UUID, uuid5

from aiokafka.structs import ConsumerRecord

from gallery.events.headers import BadHeadersError, Identity, from_headers, to_headers
from gallery.events.topics import Topic
from gallery.ports.bus import Message

UNREADABLE = UUID("6f0d3c62-1f5b-5b0e-9d53-0c1d6f5a7f11")
"""The namespace of ids for records that have none; the same record has the same one each time it comes."""
LARGEST_RECORD = 8 << 20
"""Bytes: a person's name goes with the ids of its faces, so this has room for 200,000 of them."""
LAST_MILLISECOND = 253_402_300_799_999
"""The end of the year 9999, the last that a ``datetime`` can say."""


class Record(TypedDict):
    """What a producer is given, beside the topic's name."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def to_record(message: Message) -> Record:
    """Render a fact."""
    identity = Identity(
        id=message.id,
        type=message.type,
        key=message.key,
        library_id=message.library_id,
        revision=message.revision,
        at=message.at,
        traceparent=message.traceparent,
    )
    headers = to_headers(identity, Topic(message.topic))
    return {"key": message.key.encode(), "value": message.data, "headers": list(headers.items())}


def to_message(record: ConsumerRecord[bytes | None, bytes | None], *, topic: str) -> Message:
    """Read a record of ``topic``; what has no identity of ours comes out with a fault, for the dead letters."""
    try:
        identity = from_headers(_present(record.headers))
    except BadHeadersError as error:
        return _unreadable(record, topic=topic, cause=error)
    return Message(
        id=identity.id,
        topic=topic,
        type=identity.type,
        key=identity.key,
        library_id=identity.library_id,
        revision=identity.revision,
        at=identity.at,
        data=record.value or b"",
        traceparent=identity.traceparent,
    )


def _present(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, bytes]:
    return {name: value for name, value in headers if value is not None}


def _unreadable(record: ConsumerRecord[bytes | None, bytes | None], *, topic: str, cause: BadHeadersError) -> Message:
    place = f"{topic}, partition {record.partition}, offset {record.offset}"
    milliseconds = min(max(record.timestamp, 0), LAST_MILLISECOND)
    return Message(
        id=uuid5(UNREADABLE, f"{place}, {record.timestamp}"),
        topic=topic,
        type="",
        key=(record.key or b"").decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}"),
        library_id=UUID(int=0),
        revision=0,
        at=datetime.fromtimestamp(milliseconds / 1000, UTC),
        data=record.value or b"",
        fault=f"{place}: {cause}",
    )
