"""What facts do to photos. Each is one transaction, and none minds coming twice or out of order."""

from collections.abc import Sequence
from uuid import UUID

from gallery.metadata.catalogue import changing, queries
from gallery.metadata.domain import Outcome, Proposal, Stage, State
from gallery.metadata.headers import Headers
from gallery.metadata.ports import Uploads
from gallery.runtime import metrics
from gallery.runtime.consumer import Delivery
from gallery.runtime.database import Database

PROPOSED = 1
"""Revision of the stage of people when somebody is proposed: any later analysis that finds no faces is newer."""


class PhotoFacts:
    """The catalogue, as it follows what others say."""

    def __init__(self, *, database: Database, uploads: Uploads, headers: Headers) -> None:
        self._database = database
        self._uploads = uploads
        self._headers = headers

    async def describe(self, delivery: Delivery, photo_id: UUID, *, blob_key: str) -> None:
        """A photo is accepted: ask for its name, read its header, and put it into the catalogue.

        Said again of a photo that has been described, this changes nothing.
        """
        library_id, revision = delivery.message.library_id, delivery.message.revision
        if await self._described(photo_id, blob_key):
            return
        original = await self._uploads.original(library_id, photo_id)
        described = await self._headers.describe(original)
        async with delivery.transaction() as tx, changing(tx, library_id, photo_id) as photo:
            await photo.describe(original, described, revision=revision)

    async def note_analysis(
        self, delivery: Delivery, photo_id: UUID, outcomes: Sequence[Outcome], *, size: tuple[int, int]
    ) -> None:
        """Stages of a photo came to an end."""
        message = delivery.message
        async with delivery.transaction() as tx, changing(tx, message.library_id, photo_id) as photo:
            await photo.resize(*size)
            await photo.end(outcomes, revision=message.revision)

    async def note_proposals(
        self, delivery: Delivery, photo_id: UUID, proposals: Sequence[Proposal], *, known_revision: int
    ) -> None:
        """The machine has an opinion on who the faces of a photo are."""
        message = delivery.message
        async with delivery.transaction() as tx, changing(tx, message.library_id, photo_id) as photo:
            await photo.propose(proposals, revision=message.revision, known_revision=known_revision)
            await photo.end([Outcome(Stage.PEOPLE, State.DONE)], revision=PROPOSED)

    async def note_indexed(self, delivery: Delivery, photo_id: UUID, *, revision: int) -> None:
        """The index has a photo as it was at this revision of the catalogue."""
        async with delivery.transaction() as tx, changing(tx, delivery.message.library_id, photo_id) as photo:
            seconds = await photo.note_indexed(revision)
        if seconds is not None:
            metrics.UPLOAD_TO_SEARCHABLE.observe(seconds)

    async def _described(self, photo_id: UUID, blob_key: str) -> bool:
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.described_already, {"id": photo_id, "blob_key": blob_key})
            row = await cursor.fetchone()
            return bool(row and row["described"])
