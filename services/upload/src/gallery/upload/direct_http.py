"""The internal HTTP interface of direct uploads."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from gallery.ports.direct_uploads import SignedRequest
from gallery.upload.claims import Announcement, Digest
from gallery.upload.direct import DirectUploading
from gallery.upload.domain import Ended, Progress
from gallery.upload.errors import NoDirectUploadsError
from gallery.upload.http import LIBRARY
from gallery.upload.problems import as_problems

PARTS_AT_ONCE = 1000
"""How many requests are signed by one answer."""


class Beginning(Announcement):
    """A file that a client is about to send."""

    size: int
    sha256: Digest
    type: str | None = None


class Part(BaseModel):
    """A part that a client is about to send."""

    number: int
    sha256: Digest


class Parts(BaseModel):
    """Several of them."""

    parts: list[Part] = Field(max_length=PARTS_AT_ONCE)


def create_direct_router(direct: DirectUploading | None) -> APIRouter:
    """Build the routes over the use cases; without them each says that there are no direct uploads."""
    router = APIRouter(prefix=f"{LIBRARY}/uploads/direct")

    def offered() -> DirectUploading:
        with as_problems():
            if direct is None:
                raise NoDirectUploadsError("this gallery takes files by its form alone: POST them to /api/v1/uploads")
            return direct

    Offered = Annotated[DirectUploading, Depends(offered)]  # noqa: N806 - a type

    @router.post("")
    async def begin(library_id: UUID, file: Beginning, direct: Offered) -> dict[str, Any]:
        with as_problems():
            claim = file.claim(library_id)
            begun = await direct.begin(claim, size=file.size, said_type=file.type)
            if isinstance(begun, Ended):
                return {"file": claim.file, **_ended(begun)}
            return {**_described(begun), "requests": _requests(_whole(direct, begun))}

    @router.get("/{upload_id}")
    async def look(library_id: UUID, upload_id: UUID, direct: Offered) -> dict[str, Any]:
        with as_problems():
            return _described(await direct.look(library_id, upload_id))

    @router.post("/{upload_id}/parts")
    async def sign(library_id: UUID, upload_id: UUID, wanted: Parts, direct: Offered) -> dict[str, Any]:
        digests = {part.number: bytes.fromhex(part.sha256) for part in wanted.parts}
        with as_problems():
            return {"requests": _requests(await direct.sign(library_id, upload_id, digests))}

    @router.post("/{upload_id}/complete")
    async def complete(library_id: UUID, upload_id: UUID, direct: Offered) -> dict[str, Any]:
        with as_problems():
            transfer, ended = await direct.complete(library_id, upload_id)
        return {"file": transfer.claim.file, **_ended(ended)}

    @router.delete("/{upload_id}")
    async def abort(library_id: UUID, upload_id: UUID, direct: Offered) -> dict[str, Any]:
        with as_problems():
            await direct.abort(library_id, upload_id)
        return {}

    return router


def _whole(direct: DirectUploading, progress: Progress) -> Mapping[int, SignedRequest]:
    """Sign at once what is sent by one request: its digest is known."""
    upload = progress.transfer.upload
    return direct.signed(progress.transfer, {1: upload.sha256}) if upload.pieces == 1 and not progress.sent else {}


def _requests(signed: Mapping[int, SignedRequest]) -> list[dict[str, Any]]:
    return [
        {"number": number, "method": request.method, "url": request.url, "headers": request.headers}
        for number, request in signed.items()
    ]


def _described(progress: Progress) -> dict[str, Any]:
    transfer = progress.transfer
    return {
        "id": transfer.id,
        "file": transfer.claim.file,
        **({"status": "open"} if transfer.ended is None else _ended(transfer.ended)),
        "size": transfer.upload.size,
        "sha256": transfer.upload.sha256.hex(),
        "part_size": transfer.upload.piece_size,
        "parts": transfer.upload.pieces,
        "sent": progress.sent,
        "expires_at": transfer.expires_at,
    }


def _ended(ended: Ended) -> dict[str, Any]:
    if ended.photo_id is not None:
        return {"status": ended.outcome, "photo": ended.photo_id}
    return {"status": "rejected", "code": ended.outcome, "detail": ended.detail}
