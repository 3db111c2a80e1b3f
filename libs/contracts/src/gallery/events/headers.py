"""How a fact's identity travels: CloudEvents 1.0 in the binary mode of its Kafka binding, ``traceparent`` beside it.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md, section 3.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from gallery.events.topics import CATALOGUE, Topic

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/protobuf"

MOST_REVISION = 2**63 - 1
"""What a column of a database holds."""

NAMES = frozenset(
    {
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_libraryid",
        "ce_revision",
        "traceparent",
    }
)
"""The headers that are read; whatever stands in others is not ours to judge."""


class BadHeadersError(ValueError):
    """Headers that identify no fact of ours."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the headers say of a fact.

    Attributes:
        id: Of the event.
        type: Full protobuf name.
        key: Of the order; CloudEvents' ``subject`` and ``partitionkey``.
        library_id: The tenant.
        revision: Of the aggregate that ``key`` names.
        at: When the fact was written.
        traceparent: W3C trace context, empty when there is none.
    """

    id: UUID
    type: str
    key: str
    library_id: UUID
    revision: int
    at: datetime
    traceparent: str = ""


def to_headers(identity: Identity, topic: Topic) -> dict[str, bytes]:
    """Render an identity as Kafka headers.

    A type that the topic's catalogue entry lacks is rendered, too: after a step back to an older release, facts of the
    newer one are still on their way.
    """
    headers = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": str(identity.id),
        "ce_source": f"/gallery/{CATALOGUE[topic].producer}",
        "ce_type": identity.type,
        "ce_subject": identity.key,
        "ce_time": identity.at.isoformat(),
        "ce_partitionkey": identity.key,
        "ce_libraryid": str(identity.library_id),
        "ce_revision": str(identity.revision),
        "content-type": CONTENT_TYPE,
    }
    if identity.traceparent:
        headers["traceparent"] = identity.traceparent
    return {name: value.encode() for name, value in headers.items()}


def from_headers(headers: Mapping[str, bytes]) -> Identity:
    """Read an identity; headers that we do not know are passed over.

    Raises:
        BadHeadersError: One is missing, does not parse, or could not be kept in a database.
    """
    try:
        return _identity({name: _text(name, value) for name, value in headers.items() if name in NAMES})
    except KeyError as error:
        raise BadHeadersError(f"the header {error} is missing") from error
    except (ValueError, OverflowError) as error:
        raise BadHeadersError(f"a header does not parse: {error}") from error


def _text(name: str, value: bytes) -> str:
    if b"\0" in value:  # which no text in Postgres can hold
        raise ValueError(f"{name} has a zero byte")
    return value.decode()


def _identity(headers: Mapping[str, str]) -> Identity:
    if headers["ce_specversion"] != SPEC_VERSION:
        raise ValueError("not CloudEvents 1.0")
    at = datetime.fromisoformat(headers["ce_time"])
    if at.tzinfo is None:
        raise ValueError("ce_time has no offset")
    revision = int(headers["ce_revision"])
    if not 0 <= revision <= MOST_REVISION:
        raise ValueError("ce_revision is out of range")
    return Identity(
        id=UUID(headers["ce_id"]),
        type=headers["ce_type"],
        key=headers["ce_subject"],
        library_id=UUID(headers["ce_libraryid"]),
        revision=revision,
        at=at.astimezone(UTC),
        traceparent=headers.get("traceparent", ""),
    )
