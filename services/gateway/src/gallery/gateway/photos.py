"""Everything known of photos, put together from their owners."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from gallery.gateway.neighbours import Neighbours
from gallery.runtime.http import ProblemError

Document = dict[str, Any]

AT_ONCE = 500
"""Ids in one question to a service."""


class Photos:
    """Composes photos for readers outside."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    async def show(self, library: UUID, photo_id: UUID) -> Document:
        """Return all of one photo; one that was only just uploaded has less.

        Raises:
            ProblemError: 404, there is none.
        """
        described, analysed = await asyncio.gather(
            self._described(library, [photo_id]), self._analysed(library, [photo_id])
        )
        if photo_id not in described:
            return await self._just_uploaded(library, photo_id)
        names = await self.names(library, [described[photo_id]])
        return _whole(described[photo_id], analysed.get(photo_id, {}), names)

    async def progress(self, library: UUID, photo_ids: Sequence[UUID]) -> Document:
        """Count how many of these photos have ended and how, and name those that were rejected."""
        ids = [str(photo_id) for photo_id in photo_ids]
        answer = await self._neighbours.metadata.ask("POST", "/photos/progress", library=library, json={"ids": ids})
        return dict(answer)

    async def timeline(self, library: UUID, *, cursor: str | None, limit: int) -> Document:
        """Return one page, newest first."""
        page = await self._neighbours.metadata.ask(
            "GET", "/photos", library=library, params={"cursor": cursor, "limit": limit}
        )
        return {"photos": [_brief(photo) for photo in page["photos"]], "next": page["next"]}

    async def search(self, library: UUID, query: str, *, cursor: str | None, limit: int) -> Document:
        """Return one page of what matches; a mistake in the query is search's own problem document."""
        found = await self._neighbours.search.ask(
            "GET", "/search", library=library, params={"q": query, "cursor": cursor, "limit": limit}
        )
        ids = [UUID(hit["id"]) for hit in found["photos"]]
        described, analysed = await asyncio.gather(self._described(library, ids), self._analysed(library, ids))
        names = await self.names(library, described.values())
        photos = [
            _hit(described[photo_id], analysed.get(photo_id, {}), names) | {"score": hit["score"]}
            for photo_id, hit in zip(ids, found["photos"], strict=True)
            if photo_id in described
        ]
        return {**found, "photos": photos}

    async def names(self, library: UUID, photos: Iterable[Document]) -> Mapping[str, str | None]:
        """Return the names of the people in these photos, by id; None for the unnamed."""
        ids = sorted({face["person_id"] for photo in photos for face in photo["faces"] if face["person_id"]})
        names: dict[str, str | None] = {}
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            answer = await self._neighbours.metadata.ask("POST", "/people/query", library=library, json={"ids": part})
            names |= {person["id"]: person["name"] for person in answer["people"]}
        return names

    async def _described(self, library: UUID, photo_ids: Sequence[UUID]) -> dict[UUID, Document]:
        return await self._query("metadata", library, photo_ids)

    async def _analysed(self, library: UUID, photo_ids: Sequence[UUID]) -> dict[UUID, Document]:
        return await self._query("ml_worker", library, photo_ids)

    async def _query(self, service: str, library: UUID, photo_ids: Sequence[UUID]) -> dict[UUID, Document]:
        if not photo_ids:
            return {}
        ids = [str(photo_id) for photo_id in photo_ids]
        answer = await getattr(self._neighbours, service).ask(
            "POST", "/photos/query", library=library, json={"ids": ids}
        )
        return {UUID(photo["id"]): photo for photo in answer["photos"]}

    async def _just_uploaded(self, library: UUID, photo_id: UUID) -> Document:
        """The catalogue hears of a photo a moment after its upload was acknowledged."""
        answer = await self._neighbours.upload.ask(
            "POST", "/uploads/query", library=library, json={"ids": [str(photo_id)]}
        )
        if not answer["uploads"]:
            raise ProblemError(404, "unknown_photo", "There is no photo of this id.")
        original = answer["uploads"][0]
        return {
            "id": original["photo_id"],
            "file": original["file"],
            "sha256": original["sha256"],
            "type": original["media_type"],
            "size": original["size"],
            "uploaded_at": original["uploaded_at"],
        }


def _brief(photo: Document) -> Document:
    return {
        "id": photo["id"],
        "file": photo["file"],
        "type": photo["media_type"],
        "size": photo["size"],
        "dimensions": _dimensions(photo),
        "taken_at": taken_at(photo),
        "uploaded_at": photo["uploaded_at"],
    }


def _hit(photo: Document, analysis: Document, names: Mapping[str, str | None]) -> Document:
    people = dict.fromkeys(face["person_id"] for face in photo["faces"] if face["person_id"])
    return {
        "id": photo["id"],
        "file": photo["file"],
        "taken_at": taken_at(photo),
        "people": [{"id": person, "name": names.get(person)} for person in people],
        "tags": analysis.get("tags", []),
    }


def _whole(photo: Document, analysis: Document, names: Mapping[str, str | None]) -> Document:
    passed_on = ("camera", "lens", "exposure", "gps", "gps_from", "place", "said", "stages")
    return {
        "id": photo["id"],
        "file": photo["file"],
        "sha256": photo["sha256"],
        "type": photo["media_type"],
        "size": photo["size"],
        "dimensions": _dimensions(analysis if analysis.get("width") else photo),
        "uploaded_at": photo["uploaded_at"],
        "taken_at": taken_at(photo),
        "offset_minutes": photo["offset_minutes"],
        "taken_from": photo["taken_from"],
        **{name: photo.get(name) for name in passed_on},
        "faces": [_face(face, analysis, names) for face in photo["faces"]],
        "tags": analysis.get("tags", []),
        "text": None,
        "quality": analysis.get("quality"),
        "hashes": analysis.get("hashes", {}),
    }


def _face(face: Document, analysis: Document, names: Mapping[str, str | None]) -> Document:
    measured: Document = next((each for each in analysis.get("faces", []) if each["id"] == face["id"]), {})
    return {
        "id": face["id"],
        "box": measured.get("box"),
        "score": measured.get("score"),
        "quality": measured.get("quality"),
        "person": face["person_id"],
        "name": names.get(face["person_id"]),
        "state": face["state"],
    }


def _dimensions(photo: Document) -> list[int] | None:
    """Width and height of the upright picture, in pixels."""
    return [photo["width"], photo["height"]] if photo.get("width") and photo.get("height") else None


def taken_at(photo: Document) -> str | None:
    """Return the local time of a photo, with its offset only where one is known: without, it is not UTC."""
    if photo["taken_at"] is None:
        return None
    local = datetime.fromisoformat(photo["taken_at"]).replace(tzinfo=None)
    offset = photo.get("offset_minutes")
    return (local if offset is None else local.replace(tzinfo=timezone(timedelta(minutes=offset)))).isoformat()
