"""Facts for tests of everything that consumes them."""

from datetime import UTC, datetime
from uuid import UUID

from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.ports.bus import Message
from gallery.runtime.ids import uuid7

LIBRARY = UUID(int=7)


def photo_changed(key: str, revision: int) -> Message:
    """A change of one photo, as metadata says it."""
    body = PhotoChanged(photo_id=key)
    return Message(
        id=uuid7(),
        topic=Topic.CATALOGUE,
        type=body.DESCRIPTOR.full_name,
        key=key,
        library_id=LIBRARY,
        revision=revision,
        at=datetime.now(UTC),
        data=body.SerializeToString(),
    )
