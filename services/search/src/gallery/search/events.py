"""What search listens to."""

from collections.abc import Mapping
from uuid import UUID

from google.protobuf.message import Message as Body

from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PersonNamed, PhotoChanged
from gallery.ports.bus import Message
from gallery.runtime.consumer import Delivery, Handler
from gallery.runtime.delivery import Batch
from gallery.runtime.together import Together
from gallery.search.domain import Change
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
    def handlers(self) -> Mapping[type[Body], Handler]:
        """By type of fact."""
        return {PhotoChanged: Together(self.photos_changed), PersonNamed: self.person_named}

    async def photos_changed(self, batch: Batch) -> None:
        """Note that the photos' documents are old."""
        async with batch.transaction() as (tx, new):
            await self._store.note_changed(tx, [_change(each.message, each.body) for each in new])
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


def _change(message: Message, fact: PhotoChanged) -> Change:
    return Change(message.library_id, UUID(fact.photo_id), message.revision)
