"""How a fact's identity travels: CloudEvents 1.0 in the binary mode of its Kafka binding, ``traceparent`` beside it.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md, section 3.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from gallery.events.topics import TOPIC_OF_TYPE, Topic

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/protobuf"

PRODUCERS: Mapping[Topic, str] = MappingProxyType(
    {
        Topic.UPLOADS: "upload",
        Topic.ANALYSIS: "ml-worker",
        Topic.CATALOGUE: "metadata",
        Topic.PEOPLE: "metadata",
        Topic.SEARCH: "search",
    }
)
"""The service that speaks on each topic."""


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


def to_headers(identity: Identity) -> dict[str, bytes]:
    """Render an identity as Kafka headers.

    Raises:
        BadHeadersError: The type is in no topic of ours.
    """
    topic = TOPIC_OF_TYPE.get(identity.type)
    if topic is None:
        raise BadHeadersError(f"{identity.type} is in no topic")
    headers = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": str(identity.id),
        "ce_source": f"/gallery/{PRODUCERS[topic]}",
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
        BadHeadersError: One is missing or does not parse.
    """
    try:
        if headers["ce_specversion"].decode() != SPEC_VERSION:
            raise BadHeadersError("not CloudEvents 1.0")
        at = datetime.fromisoformat(headers["ce_time"].decode())
        if at.tzinfo is None:
            raise BadHeadersError("ce_time has no offset")
        return Identity(
            id=UUID(headers["ce_id"].decode()),
            type=headers["ce_type"].decode(),
            key=headers["ce_subject"].decode(),
            library_id=UUID(headers["ce_libraryid"].decode()),
            revision=int(headers["ce_revision"]),
            at=at,
            traceparent=headers.get("traceparent", b"").decode(),
        )
    except KeyError as error:
        raise BadHeadersError(f"the header {error} is missing") from error
    except ValueError as error:
        raise BadHeadersError(f"a header does not parse: {error}") from error
