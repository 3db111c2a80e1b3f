"""The internal HTTP interface of the upload service."""

from dataclasses import asdict
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from gallery.ports.blobs import BlobChangedError, BlobNotFoundError, Blobs
from gallery.runtime.http import ProblemError
from gallery.runtime.ranges import Content, ranged
from gallery.upload.claims import Digest, read_claim, readable
from gallery.upload.domain import HASHES_AT_ONCE, IDS_AT_ONCE, Claim, Original, Status
from gallery.upload.ports import Audits, Faults, Originals
from gallery.upload.problems import as_problems
from gallery.upload.uploads import Uploads
from gallery.upload.verification import verify

LIBRARY = "/internal/v1/libraries/{library_id}"

FOR_EVER = "private, max-age=31536000, immutable"
"""An original never changes."""


class Exists(BaseModel):
    """Which of these are stored? Hex digests, lower case."""

    sha256: list[Digest] = Field(max_length=HASHES_AT_ONCE)


class Ids(BaseModel):
    """Photos asked about."""

    ids: list[UUID] = Field(max_length=IDS_AT_ONCE)


def create_router(*, uploads: Uploads, originals: Originals, blobs: Blobs) -> APIRouter:
    """Build the routes of those who bring and read originals."""
    router = APIRouter(prefix=LIBRARY)

    @router.post("/uploads", status_code=201)
    async def accept(library_id: UUID, request: Request) -> JSONResponse:
        with as_problems():
            receipt = await uploads.accept(_claim(library_id, request), request.stream())
        stored = receipt.original
        answer = {
            "photo_id": str(stored.photo_id),
            "sha256": stored.sha256.hex(),
            "size": stored.size,
            "media_type": stored.media_type,
            "status": receipt.status,
        }
        return JSONResponse(answer, status_code=201 if receipt.status is Status.ACCEPTED else 200)

    @router.post("/uploads/exists")
    async def exists(library_id: UUID, question: Exists) -> dict[str, dict[str, str]]:
        known = await originals.known(library_id, [bytes.fromhex(digest) for digest in question.sha256])
        return {"known": {digest.hex(): str(photo_id) for digest, photo_id in known.items()}}

    @router.post("/uploads/query")
    async def query(library_id: UUID, question: Ids) -> dict[str, Any]:
        return {"uploads": [_described(original) for original in await originals.find(library_id, question.ids)]}

    @router.get("/uploads/{photo_id}")
    async def describe(library_id: UUID, photo_id: UUID) -> dict[str, Any]:
        return _described(await _found(uploads, library_id, photo_id))

    @router.get("/originals/{photo_id}")
    async def original(library_id: UUID, photo_id: UUID, request: Request) -> Response:
        return await _bytes(await _found(uploads, library_id, photo_id), request, blobs)

    @router.post("/resync")
    async def resync(library_id: UUID) -> dict[str, int]:
        return {"facts": await originals.say_again(library_id)}

    return router


def create_upkeep_router(*, originals: Originals, faults: Faults, audits: Audits, blobs: Blobs) -> APIRouter:
    """Build the routes of those who look after originals."""
    router = APIRouter(prefix=LIBRARY)

    @router.post("/verify")
    async def check(library_id: UUID) -> dict[str, Any]:
        result = await verify(library_id, blobs=blobs, originals=originals, faults=faults)
        findings = [
            {"kind": finding.kind, "photo_id": finding.photo_id, "key": finding.key} for finding in result.findings
        ]
        return {"objects": result.objects, "findings": findings}

    @router.get("/audit")
    async def audit(library_id: UUID) -> dict[str, Any]:
        return {**asdict(await audits.round()), "faults": [asdict(each) for each in await faults.found(library_id)]}

    return router


async def _found(uploads: Uploads, library_id: UUID, photo_id: UUID) -> Original:
    with as_problems():
        return await uploads.find(library_id, photo_id)


def _claim(library_id: UUID, request: Request) -> Claim:
    headers = request.headers
    with readable():
        return read_claim(
            library_id,
            file=unquote(headers.get("x-gallery-file", ""), errors="strict"),
            lane=headers.get("x-gallery-lane"),
            sha256=headers.get("x-gallery-sha256"),
            modified=headers.get("x-gallery-modified"),
            said=unquote(headers.get("x-gallery-said", ""), errors="strict"),
        )


def _described(original: Original) -> dict[str, Any]:
    return {
        "photo_id": original.photo_id,
        "file": original.file,
        "size": original.size,
        "sha256": original.sha256.hex(),
        "media_type": original.media_type,
        "modified_at": original.modified_at,
        "uploaded_at": original.uploaded_at,
        "blob_key": original.blob_key,
        "said": original.said,
    }


async def _bytes(original: Original, request: Request, blobs: Blobs) -> Response:
    content = Content(
        size=original.size,
        etag=original.sha256.hex(),
        media_type=original.media_type,
        read=lambda start, length: blobs.read(original.blob_key, start=start, length=length),
    )
    try:
        answer = await ranged(request, content, cache_control=FOR_EVER)
    except (BlobNotFoundError, BlobChangedError) as error:
        raise ProblemError(410, "original_gone", "The original is not there any more, or not what it was.") from error
    answer.headers["content-disposition"] = (
        f"inline; filename*=UTF-8''{quote(original.file.rpartition('/')[2], safe='')}"
    )
    return answer
