"""The internal HTTP interface for originals that stay where they are."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter

from gallery.upload.claims import Announcement
from gallery.upload.errors import PlaceRefusedError
from gallery.upload.http import LIBRARY
from gallery.upload.in_place import InPlace
from gallery.upload.problems import as_problems


class Lying(Announcement):
    """A file that lies elsewhere, and where."""

    place: str


def create_in_place_router(in_place: InPlace | None) -> APIRouter:
    """Build the route over the use case; without it, it says that nothing stays elsewhere."""
    router = APIRouter(prefix=f"{LIBRARY}/uploads/in-place")

    @router.post("")
    async def accept(library_id: UUID, file: Lying) -> dict[str, Any]:
        with as_problems():
            if in_place is None:
                raise PlaceRefusedError("in this gallery originals stay nowhere else: import without --in-place")
            claim = file.claim(library_id)
            receipt = await in_place.accept(claim, file.place)
        stored = receipt.original
        return {"file": claim.file, "status": receipt.status, "photo": stored.photo_id, "sha256": stored.sha256.hex()}

    return router
