"""The public API, version 1."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gallery.gateway import shapes
from gallery.gateway.backfills import Backfills
from gallery.gateway.direct import create_direct_router
from gallery.gateway.domain import Owner
from gallery.gateway.errors import BadFormError
from gallery.gateway.faces import Faces
from gallery.gateway.form import Form, boundary_of
from gallery.gateway.gate import UPLOADS
from gallery.gateway.neighbours import Neighbours
from gallery.gateway.overview import Overview
from gallery.gateway.photos import Photos
from gallery.gateway.uploads import hand_on
from gallery.runtime.http import ProblemError
from gallery.runtime.settings import Setting

VERSION = "/api/v1"

Cursor = Annotated[str | None, Query(description="The ``next`` of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]

BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    206: {"description": "The part that Range asked for"},
    304: {"description": "If-None-Match has it already"},
}
JPEG: dict[int | str, dict[str, Any]] = {
    **BINARY,
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
}

UPLOAD_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "description": "One or many files. The other fields say something of the file that follows them.",
                    "required": ["file"],
                    "properties": {
                        "path": {"type": "string", "description": "Relative path, instead of the file name"},
                        "sha256": {"type": "string", "description": "Hex; the bytes are checked against it"},
                        "modified": {"type": "string", "format": "date-time"},
                        "lane": {"type": "string", "enum": ["interactive", "backfill"]},
                        "said": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "description": "What another gallery said of it, at most 8,192 bytes of JSON: source,"
                            " title, description, taken_at, gps (latitude, longitude, altitude, source), people,"
                            " albums, favourite, archived",
                        },
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}


def owner_of(owner: Owner) -> Any:
    """Build the dependency that lets the owner in and nobody else; it gives the library."""
    bearer = HTTPBearer(auto_error=False, description="The token in ``owner.token`` of the data folder")

    async def library(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> UUID:
        if credentials is None or not owner.holds(credentials.credentials):
            raise ProblemError(401, "unauthorized", "Send the token: Authorization: Bearer TOKEN.")
        return owner.library_id

    return Depends(library)


def create_routers(
    *, neighbours: Neighbours, owner: Owner, effective_settings: Sequence[Setting]
) -> tuple[APIRouter, ...]:
    """Build all routes; each asks for the owner's token."""
    allowed = owner_of(owner)
    return (
        _uploads(neighbours, allowed),
        create_direct_router(neighbours.upload, allowed),
        _photos(neighbours, allowed),
        _people(neighbours, allowed),
        _backfill(neighbours, allowed),
        _operation(neighbours, allowed, effective_settings),
    )


def _uploads(neighbours: Neighbours, allowed: Any) -> APIRouter:
    router = APIRouter(tags=["uploads"])
    upload = neighbours.upload

    @router.post(
        UPLOADS, response_model=shapes.UploadAnswer, response_model_exclude_none=True, openapi_extra=UPLOAD_FORM
    )
    async def send_files(request: Request, library: UUID = allowed) -> Any:
        try:
            form = Form(request.receive, boundary=boundary_of(request.headers.get("content-type", "")))
            return {"uploads": await hand_on(form, upload=upload, library=library)}
        except BadFormError as error:
            raise ProblemError(400, "bad_form", str(error)) from error

    @router.post(f"{UPLOADS}/in-place", response_model=shapes.Uploaded, response_model_exclude_none=True)
    async def leave_in_place(file: shapes.InPlace, library: UUID = allowed) -> Any:
        return await upload.ask("POST", "/uploads/in-place", library=library, json=file.model_dump(mode="json"))

    @router.post(f"{UPLOADS}/exists", response_model=shapes.Known)
    async def exists(question: shapes.Hashes, library: UUID = allowed) -> Any:
        return await upload.ask("POST", "/uploads/exists", library=library, json=question.model_dump())

    return router


def _photos(neighbours: Neighbours, allowed: Any) -> APIRouter:
    router = APIRouter(prefix=VERSION, tags=["photos"])
    photos = Photos(neighbours)

    @router.get("/photos", response_model=shapes.PhotoPage)
    async def timeline(cursor: Cursor = None, limit: Limit = 100, library: UUID = allowed) -> Any:
        return await photos.timeline(library, cursor=cursor, limit=limit)

    @router.post("/photos/progress", response_model=shapes.Progress)
    async def progress(question: shapes.PhotoIds, library: UUID = allowed) -> Any:
        return await photos.progress(library, question.ids)

    @router.get("/photos/{photo_id}", response_model=shapes.Photo)
    async def show(photo_id: UUID, library: UUID = allowed) -> Any:
        return await photos.show(library, photo_id)

    @router.get("/photos/{photo_id}/original", response_class=Response, responses=BINARY)
    async def original(photo_id: UUID, request: Request, library: UUID = allowed) -> Response:
        return await neighbours.upload.bytes(request, f"/originals/{photo_id}", library=library)

    @router.get("/photos/{photo_id}/preview", response_class=Response, responses=JPEG)
    async def preview(photo_id: UUID, request: Request, library: UUID = allowed) -> Response:
        return await neighbours.ml_worker.bytes(request, f"/photos/{photo_id}/preview", library=library)

    @router.get("/photos/{photo_id}/thumbnail", response_class=Response, responses=JPEG)
    async def thumbnail(photo_id: UUID, request: Request, library: UUID = allowed) -> Response:
        return await neighbours.ml_worker.bytes(request, f"/photos/{photo_id}/thumbnail", library=library)

    @router.get("/search", response_model=shapes.Found)
    async def search(q: str = "", cursor: Cursor = None, limit: Limit = 100, library: UUID = allowed) -> Any:
        return await photos.search(library, q, cursor=cursor, limit=limit)

    return router


def _people(neighbours: Neighbours, allowed: Any) -> APIRouter:
    router = APIRouter(prefix=VERSION, tags=["people"])
    faces = Faces(neighbours)

    @router.get("/people", response_model=shapes.People)
    async def people(library: UUID = allowed) -> Any:
        return await neighbours.metadata.ask("GET", "/people", library=library)

    @router.patch("/people/{person_id}", response_model=dict[str, Any])
    async def name(person_id: UUID, wish: shapes.Name, library: UUID = allowed) -> Any:
        return await neighbours.metadata.ask(
            "PUT", f"/people/{person_id}/name", library=library, json={"name": wish.name}
        )

    @router.get("/faces", response_model=shapes.FacePage)
    async def every_face(cursor: Cursor = None, limit: Limit = 100, library: UUID = allowed) -> Any:
        return await faces.page(library, cursor=cursor, limit=limit)

    @router.get("/faces/{face_id}", response_model=shapes.Face)
    async def face(face_id: UUID, library: UUID = allowed) -> Any:
        return await faces.show(library, face_id)

    return router


def _backfill(neighbours: Neighbours, allowed: Any) -> APIRouter:
    router = APIRouter(prefix=VERSION, tags=["backfill"])

    backfills = Backfills(neighbours)

    @router.get("/backfill", response_model=shapes.Backfills)
    async def backfill(library: UUID = allowed) -> Any:
        return {"libraries": [await backfills.show(library)]}

    @router.patch("/backfill", response_model=shapes.Backfill)
    async def change_backfill(wish: shapes.BackfillChange, library: UUID = allowed) -> Any:
        return await backfills.change(library, wish.model_dump(exclude_unset=True))

    return router


def _operation(neighbours: Neighbours, allowed: Any, effective_settings: Sequence[Setting]) -> APIRouter:
    router = APIRouter(prefix=VERSION, tags=["operation"])
    overview = Overview(neighbours)

    @router.get("/status", response_model=shapes.Status)
    async def status(library: UUID = allowed) -> Any:
        return await overview.status(library)

    @router.get("/packs", response_model=dict[str, Any])
    async def packs(library: UUID = allowed) -> Any:
        return await neighbours.ml_worker.ask("GET", "/packs", library=library)

    @router.get("/settings", response_model=shapes.SettingsAnswer, dependencies=[allowed])
    async def settings() -> Any:
        return {"settings": [asdict(setting) for setting in effective_settings]}

    @router.post("/verify", response_model=shapes.Verification)
    async def verify(library: UUID = allowed) -> Any:
        return await overview.verify(library)

    @router.get("/audit", response_model=shapes.Audit)
    async def audit(library: UUID = allowed) -> Any:
        return await overview.audit(library)

    @router.post("/events/resync", response_model=dict[str, Any])
    async def resync(library: UUID = allowed) -> Any:
        return await overview.resync(library)

    @router.get("/dead-letters", response_model=shapes.DeadLetters, dependencies=[allowed])
    async def dead_letters() -> Any:
        return await overview.dead_letters()

    @router.get("/dead-letters/{letter_id}", response_model=dict[str, Any], dependencies=[allowed])
    async def dead_letter(letter_id: UUID) -> Any:
        return await overview.dead_letter(letter_id)

    @router.post("/dead-letters/{letter_id}/replay", response_model=dict[str, Any], dependencies=[allowed])
    async def replay(letter_id: UUID) -> Any:
        return await overview.replay(letter_id)

    return router
