"""The internal API of this service."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gallery.metadata.errors import NameTakenError, NameUnfitError, PersonUnknownError
from gallery.metadata.ledger import Ledger
from gallery.metadata.people import People
from gallery.metadata.photos import FIRST, TOP, Photos, Place
from gallery.metadata.reasons import sentence
from gallery.runtime.http import ProblemError

PREFIX = "/internal/v1/libraries/{library_id}"
Limit = Annotated[int, Query(ge=1, le=500)]


class Ids(BaseModel):
    """Up to 500 ids."""

    ids: list[UUID] = Field(max_length=500)


class ManyIds(BaseModel):
    """Up to 5,000 ids."""

    ids: list[UUID] = Field(max_length=5000)


class Name(BaseModel):
    """A name, or none."""

    name: str | None


def photos_router(photos: Photos) -> APIRouter:
    """Photos and faces."""
    router = APIRouter(prefix=PREFIX)

    @router.post("/photos/query")
    async def query(library_id: UUID, asked: Ids) -> dict[str, Any]:
        return {"photos": [photo_json(row) for row in await photos.query(library_id, asked.ids)]}

    @router.get("/photos")
    async def timeline(library_id: UUID, cursor: str = "", limit: Limit = 100) -> dict[str, Any]:
        rows = await photos.timeline(library_id, below=_place(cursor), limit=limit)
        following = _cursor([rows[-1]["taken_at"].isoformat(), str(rows[-1]["id"])]) if len(rows) == limit else None
        return {"photos": [photo_json(row) for row in rows], "next": following}

    @router.post("/photos/progress")
    async def progress(library_id: UUID, asked: ManyIds) -> dict[str, Any]:
        found = await photos.progress(library_id, asked.ids)
        return found | {"rejected": [rejection_json(row) for row in found["rejected"]]}

    @router.get("/faces")
    async def faces(library_id: UUID, cursor: str = "", limit: Limit = 100) -> dict[str, Any]:
        rows = await photos.faces(library_id, after=_after(cursor), limit=limit)
        shown = [
            {"id": row["id"], "photo": row["photo_id"], **{key: row[key] for key in ("file", "person_id", "state")}}
            for row in rows
        ]
        return {"faces": shown, "next": _cursor([str(rows[-1]["id"])]) if len(rows) == limit else None}

    return router


def people_router(people: People) -> APIRouter:
    """People and their names."""
    router = APIRouter(prefix=PREFIX)

    @router.get("/people")
    async def present(library_id: UUID) -> dict[str, Any]:
        found = await people.present(library_id)
        return {"people": found, "unassigned_faces": await people.unassigned_faces(library_id)}

    @router.post("/people/query")
    async def query(library_id: UUID, asked: Ids) -> dict[str, Any]:
        return {"people": await people.query(library_id, asked.ids)}

    @router.put("/people/{person_id}/name")
    async def name(library_id: UUID, person_id: UUID, wish: Name) -> dict[str, Any]:
        try:
            return await people.name(library_id, person_id, wish.name)
        except PersonUnknownError as error:
            raise ProblemError(404, "person_not_found", str(error)) from error
        except NameUnfitError as error:
            raise ProblemError(422, "name_unfit", str(error)) from error
        except NameTakenError as error:
            raise ProblemError(409, "name_taken", str(error), person_id=str(error.person_id)) from error

    return router


def ledger_router(ledger: Ledger, photos: Photos, people: People) -> APIRouter:
    """The ledger, and what puts it right."""
    router = APIRouter(prefix=PREFIX)

    @router.get("/ledger")
    async def summary(library_id: UUID) -> dict[str, Any]:
        found = await ledger.summary(library_id)
        return found | {"rejected": [rejection_json(row) for row in found["rejected"]]}

    @router.get("/ledger/rejected")
    async def rejected(library_id: UUID, cursor: str = "", limit: Limit = 100) -> dict[str, Any]:
        rows = await ledger.rejected(library_id, after=_after(cursor), limit=limit)
        following = _cursor([str(rows[-1]["photo_id"])]) if len(rows) == limit else None
        return {"rejected": [rejection_json(row) for row in rows], "next": following}

    @router.post("/resync")
    async def resync(library_id: UUID) -> dict[str, int]:
        return {"photos": await photos.say_again(library_id), "people": await people.say_again(library_id)}

    @router.post("/reconcile")
    async def reconcile(library_id: UUID) -> dict[str, Any]:
        found = await ledger.reconcile(library_id)
        return {
            "photos": found.photos,
            "findings": [
                {"kind": kind, "detail": f"{number} {sentence}"}
                for kind, number, sentence in (
                    ("miscounted", found.miscounted, "counts of the ledger differed from its rows; they are right now"),
                    ("incomplete", found.incomplete, "photos lacked the row of a stage; they have it now"),
                )
                if number
            ],
            "said_again": found.said_again,
            "stuck": found.stuck,
        }

    return router


def photo_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Render a photo. ``taken_at`` is the local time of the place, without offset; that stands beside it."""
    plain = ("id", "revision", "file", "size", "media_type", "width", "height", "uploaded_at", "camera", "lens")
    return {
        **{name: row[name] for name in plain},
        "sha256": row["sha256"].hex(),
        "taken_at": row["taken_at"].isoformat(),
        "offset_minutes": row["offset_minutes"],
        "taken_from": row["taken_from"],
        "offset_from": row["offset_from"],
        "exposure": row["exposure"],
        "orientation": row["orientation"],
        "gps": _gps(row),
        "gps_from": row["gps_from"],
        "place": _named_place(row),
        "said": row["said"],
        "faces": [{name: face[name] for name in ("id", "person_id", "state")} for face in row["faces"]],
        "stages": {
            stage["stage"]: {name: stage[name] for name in ("state", "reason", "pack", "attempts", "at")}
            for stage in row["stages"]
        },
    }


def _gps(row: Mapping[str, Any]) -> dict[str, float | None] | None:
    if row["latitude"] is None:
        return None
    return {name: row[name] for name in ("latitude", "longitude", "altitude", "direction")}


def _named_place(row: Mapping[str, Any]) -> dict[str, str | None] | None:
    if row["country"] is None:
        return None
    return {name: row[name] for name in ("city", "region", "country", "country_code")}


def rejection_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Render why a photo is rejected."""
    return {
        "photo_id": row["photo_id"],
        "file": row["file"],
        "code": row["reason"],
        "detail": sentence(row["reason"], stage=row["stage"]),
    }


def _cursor(parts: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _parts(cursor: str, count: int) -> list[str]:
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if isinstance(parts, list) and len(parts) == count and all(isinstance(part, str) for part in parts):
            return parts
    except (binascii.Error, ValueError):
        pass
    raise ProblemError(422, "bad_cursor", "the cursor is not one of ours; begin without one")


def _place(cursor: str) -> Place:
    if not cursor:
        return TOP
    taken_at, photo_id = _parts(cursor, 2)
    try:
        return Place(taken_at=datetime.fromisoformat(taken_at), photo_id=UUID(photo_id))
    except ValueError as error:
        raise ProblemError(422, "bad_cursor", "the cursor is not one of ours; begin without one") from error


def _after(cursor: str) -> UUID:
    if not cursor:
        return FIRST
    try:
        return UUID(_parts(cursor, 1)[0])
    except ValueError as error:
        raise ProblemError(422, "bad_cursor", "the cursor is not one of ours; begin without one") from error
