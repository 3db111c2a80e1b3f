"""Faces: who the catalogue says they are, beside where they were seen."""

from typing import Any
from uuid import UUID

from gallery.gateway.neighbours import Neighbours

Document = dict[str, Any]


class Faces:
    """Composes faces for readers outside."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    async def page(self, library: UUID, *, cursor: str | None, limit: int) -> Document:
        """Return one page of all faces; the box is [x, y, width, height] in pixels of the upright original."""
        page = await self._neighbours.metadata.ask(
            "GET", "/faces", library=library, params={"cursor": cursor, "limit": limit}
        )
        seen: dict[str, Document] = {}
        if page["faces"]:
            ids = [face["id"] for face in page["faces"]]
            answer = await self._neighbours.ml_worker.ask("POST", "/faces/query", library=library, json={"ids": ids})
            seen = {face["id"]: face for face in answer["faces"]}
        return {"faces": [_merged(face, seen.get(face["id"], {})) for face in page["faces"]], "next": page["next"]}

    async def show(self, library: UUID, face_id: UUID) -> Document:
        """Return one face with the evidence for its assignment, or why it has none.

        Raises:
            ProblemError: 404, there is none.
        """
        seen = await self._neighbours.ml_worker.ask("GET", f"/faces/{face_id}", library=library)
        photo_id = seen["photo_id"]
        answer = await self._neighbours.metadata.ask("POST", "/photos/query", library=library, json={"ids": [photo_id]})
        photo: Document = next(iter(answer["photos"]), {"faces": [], "file": None})
        resolved: Document = next((face for face in photo["faces"] if face["id"] == str(face_id)), {})
        face = {"id": str(face_id), "photo": photo_id, "file": photo["file"], **resolved}
        return {**_merged(face, seen), "evidence": seen["evidence"]}


def _merged(face: Document, seen: Document) -> Document:
    return {
        "id": face["id"],
        "photo": face["photo"],
        "file": face["file"],
        "box": seen.get("box"),
        "score": seen.get("score"),
        "quality": seen.get("quality"),
        "person": face.get("person_id"),
        "state": face.get("state", "unassigned"),
    }
