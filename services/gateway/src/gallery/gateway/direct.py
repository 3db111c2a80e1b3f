"""Direct uploads: the client asks here, and sends the bytes straight to the store of originals."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gallery.gateway.gate import UPLOADS
from gallery.gateway.neighbours import Neighbour
from gallery.gateway.shapes import Answer, Digest, Uploaded


class Announcement(BaseModel):
    """A file to be sent; what is said of it is as in the form."""

    path: str = Field(description="Relative path or name")
    size: int = Field(description="Bytes")
    sha256: Digest
    type: str | None = Field(default=None, description="Media type, if known; in the end the content decides")
    lane: Literal["interactive", "backfill"] = "interactive"
    modified: datetime | None = None
    said: dict[str, Any] | None = None


class Part(BaseModel):
    """A part to be sent."""

    number: int = Field(description="From 1")
    sha256: Digest


class Parts(BaseModel):
    """Parts to be sent."""

    parts: list[Part] = Field(max_length=1000)


class SignedRequest(Answer):
    """Send the part with exactly these headers. An answer of 403 means that the time is over: have it signed again."""

    number: int
    method: str
    url: str = Field(description="Secret: whoever knows it may send this part")
    headers: dict[str, str]


class SignedRequests(Answer):
    """In the order of the question."""

    requests: list[SignedRequest]


class DirectUpload(Answer):
    """How far it is. The file is cut into ``parts`` parts of ``part_size`` bytes, the last of which has the rest."""

    file: str
    status: Literal["open", "accepted", "already_stored", "rejected"]
    id: UUID | None = Field(default=None, description="Missing when the same bytes are stored already")
    photo: UUID | None = None
    code: str | None = Field(default=None, description="Why it was rejected, such as unsupported_type")
    detail: str | None = None
    size: int | None = None
    sha256: Digest | None = None
    part_size: int | None = None
    parts: int | None = None
    sent: list[int] | None = Field(default=None, description="Numbers of the parts that are there")
    expires_at: datetime | None = None
    requests: list[SignedRequest] | None = Field(
        default=None, description="Of an upload that has only just begun and is a single part, how to send it"
    )


def create_direct_router(upload: Neighbour, allowed: Any) -> APIRouter:
    """Build the routes, for whom ``allowed`` lets in."""
    router = APIRouter(prefix=f"{UPLOADS}/direct", tags=["uploads"])
    place = "/uploads/direct"
    Library = Annotated[UUID, allowed]  # noqa: N806 - a type

    @router.post("", response_model=DirectUpload, response_model_exclude_none=True)
    async def begin_or_resume(file: Announcement, library: Library) -> Any:
        return await upload.ask("POST", place, library=library, json=file.model_dump(mode="json"))

    @router.get("/{upload_id}", response_model=DirectUpload, response_model_exclude_none=True)
    async def look(upload_id: UUID, library: Library) -> Any:
        return await upload.ask("GET", f"{place}/{upload_id}", library=library)

    @router.post("/{upload_id}/parts", response_model=SignedRequests)
    async def sign_parts(upload_id: UUID, wanted: Parts, library: Library) -> Any:
        return await upload.ask("POST", f"{place}/{upload_id}/parts", library=library, json=wanted.model_dump())

    @router.post("/{upload_id}/complete", response_model=Uploaded, response_model_exclude_none=True)
    async def complete(upload_id: UUID, library: Library) -> Any:
        return await upload.ask("POST", f"{place}/{upload_id}/complete", library=library)

    @router.delete("/{upload_id}", status_code=204)
    async def abort(upload_id: UUID, library: Library) -> None:
        await upload.ask("DELETE", f"{place}/{upload_id}", library=library)

    return router
