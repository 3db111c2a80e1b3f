"""A fact comes back from a record as it went; whatever else lies in a topic can be kept as a dead letter."""

from datetime import UTC
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from gallery.adapters.kafka_records import to_message, to_record
from gallery.events.headers import MOST_REVISION
from gallery.events.topics import TOPIC_OF_TYPE, Topic
from gallery.ports.bus import Message

TOPIC = Topic.CATALOGUE
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
messages = st.builds(
    Message,
    id=st.uuids(),
    topic=st.just(str(TOPIC)),
    type=st.sampled_from([*TOPIC_OF_TYPE, "gallery.events.v9.Newer"]),
    key=keys,
    library_id=st.uuids(),
    revision=st.integers(0, MOST_REVISION),
    at=st.datetimes(timezones=st.just(UTC)),
    data=st.binary(),
    traceparent=st.sampled_from(["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
    fault=st.just(""),
)
strange_headers = st.lists(st.tuples(st.sampled_from(["ce_id", "ce_type", "x"]), st.none() | st.binary()))


def record(key: bytes | None, value: bytes | None, headers: list[tuple[str, Any]], at: int = 0) -> ConsumerRecord:  # type: ignore[type-arg]
    return SimpleNamespace(  # type: ignore[return-value]
        topic=TOPIC, partition=3, offset=17, key=key, value=value, headers=tuple(headers), timestamp=at
    )


@given(messages)
def test_a_fact_comes_back_as_it_went(message: Message) -> None:
    sent = to_record(message)
    assert sent["key"].decode() == message.key
    assert to_message(record(sent["key"], sent["value"], list(sent["headers"])), topic=TOPIC) == message


@given(st.none() | st.binary(), st.none() | st.binary(), strange_headers, st.integers(-1, 2**63 - 1))
def test_a_strange_record_can_be_kept_as_a_dead_letter(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]], at: int
) -> None:
    strange = record(key, value, headers, at)
    message = to_message(strange, topic=TOPIC)
    assert message.fault.startswith("gallery.catalogue, partition 3, offset 17: ")
    assert message.data == (value or b"")
    assert "\0" not in message.key + message.fault
    assert message.library_id == UUID(int=0)
    assert to_message(strange, topic=TOPIC) == message
