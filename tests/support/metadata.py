"""A metadata service for tests: a real database, facts handed over by hand, an upload service of made-up originals."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from google.protobuf.message import Message as Body

from gallery.events.topics import Topic
from gallery.events.v1 import analysis_pb2 as analysis
from gallery.events.v1.search_pb2 import PhotoIndexed
from gallery.events.v1.uploads_pb2 import PhotoUploaded
from gallery.metadata.domain import Original
from gallery.metadata.errors import OriginalUnknownError
from gallery.metadata.events import Facts
from gallery.metadata.headers import Headers
from gallery.metadata.http import ledger_router, people_router, photos_router
from gallery.metadata.ledger import Ledger
from gallery.metadata.main import SERVICE
from gallery.metadata.people import People
from gallery.metadata.photo_facts import PhotoFacts
from gallery.metadata.photos import Photos
from gallery.metadata.places import Places
from gallery.ports.blobs import BlobNotFoundError
from gallery.ports.bus import Message
from gallery.runtime import partitions
from gallery.runtime.consumer import AlreadyHandledError, Delivery
from gallery.runtime.database import Database
from gallery.runtime.http import create_app
from gallery.runtime.ids import uuid7
from gallery.runtime.migrations import migrate

LIBRARY = UUID("018f0000-0000-7000-8000-000000000001")
UPLOADED_AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
PLACES = Places()


@dataclass
class KnownUploads:
    """Knows the originals that a test puts in."""

    originals: dict[UUID, Original] = field(default_factory=dict)

    async def original(self, library_id: UUID, photo_id: UUID) -> Original:
        """Look it up."""
        del library_id
        if photo_id not in self.originals:
            raise OriginalUnknownError("never put in")
        return self.originals[photo_id]


@dataclass
class BytesBlobs:
    """Originals as bytes; only reading is asked for."""

    content: dict[str, bytes] = field(default_factory=dict)
    read_bytes: int = 0
    fault: type[Exception] | None = None

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Hand out a range."""
        if self.fault is not None:
            raise self.fault(key)
        if key not in self.content:
            raise BlobNotFoundError(key)
        part = self.content[key][start:][:length]
        self.read_bytes += len(part)
        yield part


class DirectJail:
    """Calls the function in this process."""

    async def call(self, header: dict[str, Any], *blobs: bytes) -> tuple[dict[str, Any], Sequence[bytes | memoryview]]:
        """Answer as the child would."""
        from gallery.metadata.header.child import describe

        return describe(header, [memoryview(blob) for blob in blobs])


@dataclass
class Service:
    """All parts of the service, around one database."""

    database: Database
    uploads: KnownUploads
    blobs: BytesBlobs
    photos: Photos
    facts: PhotoFacts
    people: People
    ledger: Ledger
    http: httpx.AsyncClient

    async def put(
        self,
        photo_id: UUID,
        *,
        file: str = "DSCN0010.jpg",
        content: bytes = b"",
        media_type: str = "image/jpeg",
        said: dict[str, Any] | None = None,
    ) -> Message:
        """Store an original; gives the fact that upload says of it."""
        key = f"{LIBRARY}/{photo_id}"
        self.blobs.content[key] = content
        self.uploads.originals[photo_id] = Original(
            photo_id, file, len(content), bytes(32), media_type, key, UPLOADED_AT, None, said
        )
        body = PhotoUploaded(photo_id=str(photo_id), blob_key=key, media_type=media_type)
        return fact(Topic.UPLOADS, photo_id, body, revision=1)

    async def hear(self, message: Message) -> None:
        """Handle one fact as the consumer would."""
        handlers = Facts(self.facts).handlers()
        body_type = next(kind for kind in handlers if kind.DESCRIPTOR.full_name == message.type)  # type: ignore[attr-defined]
        delivery = Delivery(message, subscription="metadata", database=self.database)
        with suppress(AlreadyHandledError):
            await handlers[body_type](delivery, body_type.FromString(message.data))  # type: ignore[attr-defined]

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Ask the database directly."""
        async with self.database.read() as connection:
            return await (await connection.execute(query.encode(), values)).fetchall()

    def url(self, path: str) -> str:
        """Address inside the test's library."""
        return f"/internal/v1/libraries/{LIBRARY}{path}"


def fact(topic: Topic, photo_id: UUID, body: Body, *, revision: int) -> Message:
    """Wrap a fact about a photo as it travels."""
    return Message(
        id=uuid7(),
        topic=topic,
        type=body.DESCRIPTOR.full_name,
        key=str(photo_id),
        library_id=LIBRARY,
        revision=revision,
        at=datetime.now(UTC),
        data=body.SerializeToString(),
    )


def analysed(photo_id: UUID, stages: dict[str, str], *, revision: int, size: tuple[int, int] = (640, 480)) -> Message:
    """ML worker: these stages ended so; ``done``, ``failed`` or ``rejected:reason``."""
    outcomes = []
    for stage, said in stages.items():
        state, _, reason = said.partition(":")
        name = f"STAGE_STATE_{state.upper()}"
        outcomes.append(analysis.StageOutcome(stage=stage, state=name, reason=reason, attempts=1))
    body = analysis.PhotoAnalysed(photo_id=str(photo_id), stages=outcomes, width=size[0], height=size[1])
    return fact(Topic.ANALYSIS, photo_id, body, revision=revision)


def proposed(photo_id: UUID, faces: dict[UUID, tuple[UUID | None, str]], *, revision: int, knowing: int = 0) -> Message:
    """ML worker: whom it sees in each face, and in which state."""
    proposals = [
        analysis.FaceProposal(
            face_id=str(face),
            person_id=str(person) if person else "",
            state=f"FACE_STATE_{state.upper()}",
        )
        for face, (person, state) in faces.items()
    ]
    body = analysis.FacesProposed(photo_id=str(photo_id), faces=proposals, decisions_revision=knowing)
    return fact(Topic.ANALYSIS, photo_id, body, revision=revision)


def indexed(photo_id: UUID, revision: int) -> Message:
    """Search: a photo can be found as of this revision of the catalogue."""
    body = PhotoIndexed(photo_id=str(photo_id), catalogue_revision=revision)
    return fact(Topic.SEARCH, photo_id, body, revision=revision)


@asynccontextmanager
async def metadata_service(
    url: str, *, jail: Any = None, stuck_after: timedelta = timedelta(minutes=15)
) -> AsyncIterator[Service]:
    """Open the service over an empty database."""
    await migrate(url, schema=SERVICE, packages=["gallery.metadata"])
    async with Database.open(url, schema=SERVICE) as database:
        await partitions.renew(database)
        uploads, blobs = KnownUploads(), BytesBlobs()
        headers = Headers(blobs=blobs, jail=jail or DirectJail(), places=PLACES)  # type: ignore[arg-type]
        photos = Photos(database)
        facts = PhotoFacts(database=database, uploads=uploads, headers=headers)
        people = People(database=database)
        ledger = Ledger(database=database, stuck_after=stuck_after)
        app = create_app(
            title="metadata",
            routers=[photos_router(photos), people_router(people), ledger_router(ledger, photos, people)],
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metadata") as http:
            yield Service(database, uploads, blobs, photos, facts, people, ledger, http)
