"""Saying current facts again, for those who fell behind or were rebuilt."""

from uuid import UUID

from gallery.ml_worker.events import photo_analysed
from gallery.ml_worker.people import store as people_store
from gallery.ml_worker.people.store import PeopleStore
from gallery.ml_worker.store import PhotoStore
from gallery.runtime.database import Database
from gallery.runtime.outbox import append


async def say_again(library_id: UUID, *, database: Database, photos: PhotoStore, people: PeopleStore) -> int:
    """Say how every analysis ended and who was proposed; ask for what was forgotten. Returns how many photos."""
    await photos.ask_for_forgotten(library_id)
    after, said = UUID(int=0), 0
    while page := await photos.ended_after(library_id, after):
        async with database.transaction(keys=[str(photo_id) for photo_id, _, _ in page]) as tx:
            await append(
                tx,
                *(photo_analysed(photo_id, library_id, ended, revision=revision) for photo_id, revision, ended in page),
            )
        after, said = page[-1][0], said + len(page)
    library = await people.library(library_id)
    await people_store.say_again(database, library_id, decisions_revision=library.decisions_revision)
    return said
