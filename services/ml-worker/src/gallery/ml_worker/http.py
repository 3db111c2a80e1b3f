"""The internal HTTP interface of the ML worker."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from gallery.ml_worker import resync
from gallery.ml_worker.choice import Choice
from gallery.ml_worker.people.store import PeopleStore
from gallery.ml_worker.store import PhotoStore
from gallery.ml_worker.verification import verify
from gallery.ports.blobs import BlobNotFoundError, Blobs
from gallery.runtime.database import Database
from gallery.runtime.http import ProblemError
from gallery.runtime.ranges import Content, ranged

IDS_AT_ONCE = 500
UNTIL_LOOKED_AT_AGAIN = "private, max-age=3600"
"""A rendition changes only when a photo is analysed again, and its ETag with it."""


class Ids(BaseModel):
    """Photos or faces asked about."""

    ids: Annotated[list[UUID], Field(max_length=IDS_AT_ONCE)]


def create_router(*, database: Database, photos: PhotoStore, people: PeopleStore, blobs: Blobs) -> APIRouter:
    """Build the routes that answer about photos and faces."""
    router = APIRouter(prefix="/internal/v1/libraries/{library_id}")

    @router.post("/photos/query")
    async def query(library_id: UUID, question: Ids) -> dict[str, Any]:
        described = await photos.described(library_id, question.ids)
        faces = _grouped(await photos.faces_of(library_id, question.ids))
        tags = _grouped(await photos.tags_of(library_id, question.ids))
        return {"photos": [_photo(row, faces=faces[row["id"]], tags=tags[row["id"]]) for row in described]}

    @router.get("/photos/{photo_id}/{kind}")
    async def rendition(
        library_id: UUID, photo_id: UUID, kind: Literal["preview", "thumbnail"], request: Request
    ) -> Response:
        found = await photos.rendition(library_id, photo_id, kind)
        if found is None:
            raise ProblemError(404, "no_rendition", "There is no such photo, or it has no picture (yet).")
        content = Content(
            size=found.size,
            etag=found.sha256.hex(),
            media_type="image/jpeg",
            read=lambda start, length: blobs.read(found.blob_key, start=start, length=length),
        )
        try:
            return await ranged(request, content, cache_control=UNTIL_LOOKED_AT_AGAIN)
        except BlobNotFoundError as error:
            raise ProblemError(404, "no_rendition", "The picture was just replaced: ask again.") from error

    @router.get("/faces/{face_id}")
    async def face(library_id: UUID, face_id: UUID) -> dict[str, Any]:
        found = await photos.faces(library_id, [face_id])
        if not found:
            raise ProblemError(404, "unknown_face", "There is no face of this id.")
        return {**_face(found[0]), "evidence": _evidence(await people.explanation(library_id, face_id))}

    @router.post("/faces/query")
    async def faces(library_id: UUID, question: Ids) -> dict[str, Any]:
        return {"faces": [_face(row) for row in await photos.faces(library_id, question.ids)]}

    @router.post("/resync")
    async def say_again(library_id: UUID) -> dict[str, int]:
        return {"facts": await resync.say_again(library_id, database=database, photos=photos, people=people)}

    @router.post("/verify")
    async def check(library_id: UUID) -> dict[str, Any]:
        objects, findings = await verify(library_id, blobs=blobs, photos=photos)
        return {
            "objects": objects,
            "findings": [{"kind": each.kind, "photo_id": each.photo_id, "key": each.key} for each in findings],
        }

    return router


def create_status_router(*, photos: PhotoStore, people: PeopleStore, blobs: Blobs, choice: Choice) -> APIRouter:
    """Build the routes that answer about work and packs."""
    router = APIRouter(prefix="/internal/v1/libraries/{library_id}")

    @router.get("/status")
    async def status(library_id: UUID) -> dict[str, Any]:
        queue: dict[str, dict[str, Any]] = defaultdict(dict)
        for row in await photos.queue_of(library_id):
            queue[row["stage"]][row["lane"]] = {"pending": row["pending"], "oldest_seconds": row["oldest_seconds"]}
        return {
            "queue": queue,
            "grouping": {"pending": await people.pending(library_id)},
            "room": await blobs.room(),
            "packs": {"face": choice.names.face, "tags": choice.names.tag},
            "without_pack": choice.without_pack,
            "notices": choice.notices,
        }

    @router.get("/packs")
    async def packs() -> dict[str, Any]:
        return {"packs": choice.listing}

    return router


def _grouped(rows: Iterable[Mapping[str, Any]]) -> Mapping[UUID, list[Mapping[str, Any]]]:
    grouped: dict[UUID, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["photo_id"]].append(row)
    return grouped


def _photo(
    row: Mapping[str, Any], *, faces: Iterable[Mapping[str, Any]], tags: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "id": row["id"],
        "width": row["width"],
        "height": row["height"],
        "state": row["state"],
        "reason": row["reason"],
        "faces": [_face(face) for face in faces],
        "tags": [{"label": tag["label"], "score": tag["score"]} for tag in tags],
        **_measured(row),
    }


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured on the pixels; nothing before the photo was looked at, or when it cannot be."""
    if row["thumbhash"] is None:
        return {"hashes": {}, "quality": {}}
    return {
        "hashes": {"phash": row["phash"].hex(), "dhash": row["dhash"].hex(), "thumbhash": row["thumbhash"]},
        "quality": {
            "sharpness": row["sharpness"],
            "exposure": {name: row[name] for name in ("brightness", "clipped_dark", "clipped_bright")},
        },
    }


def _face(row: Mapping[str, Any]) -> dict[str, Any]:
    width, height = row["width"], row["height"]
    left, top, wide, high = row["box"]
    return {
        "id": row["id"],
        "photo_id": row["photo_id"],
        "box": [round(left * width), round(top * height), round(wide * width), round(high * height)],
        "score": row["score"],
        "quality": row["quality"],
        "ignored": row["ignored"],
    }


def _evidence(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Why a face is whose it is; None when nobody was proposed yet."""
    if row is None:
        return None
    examples = [{"face_id": face_id, "similarity": similarity} for face_id, similarity in row["examples"]]
    named = {
        name: row[name] for name in ("person_id", "state", "rule", "threshold", "similarity", "margin", "runner_up")
    }
    return {**named, "examples": examples}
