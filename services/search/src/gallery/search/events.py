"""What search listens to."""

from collections.abc import Mapping
from uuid import UUID

from google.protobuf.message import Message

from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PersonNamed, PhotoChanged
from gallery.runtime.consumer import Delivery, Handler
from gallery.search.indexing import Indexing
from gallery.search.ports import Owners
from gallery.search.store import Store

TOPICS = (Topic.CATALOGUE, Topic.PEOPLE)


class Listener:
    """Turns facts into rows."""

    def __init__(self, *, store: Store, owners: Owners, indexing: Indexing) -> None:
        self._store = store
        self._owners = owners
        self._indexing = indexing

    @property
    def handlers(self) -> Mapping[type[Message], Handler]:
        """By type of fact."""
        return {PhotoChanged: self.photo_changed, PersonNamed: self.person_named}

    async def photo_changed(self, delivery: Delivery, fact: PhotoChanged) -> None:
        """Note that the photo's document is old."""
        message = delivery.message
        async with delivery.transaction() as tx:
            await self._store.note_changed(
                tx, library_id=message.library_id, photo_id=UUID(fact.photo_id), revision=message.revision
            )
        self._indexing.wake()

    async def person_named(self, delivery: Delivery, fact: PersonNamed) -> None:
        """Ask for the name, and keep it."""
        message = delivery.message
        person_id = UUID(fact.person_id)
        name = await self._owners.name(message.library_id, person_id)
        async with delivery.transaction() as tx:
            await self._store.put_person(
                tx, library_id=message.library_id, person_id=person_id, revision=message.revision, name=name
            )
