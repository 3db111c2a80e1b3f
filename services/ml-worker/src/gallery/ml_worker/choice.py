"""Which packs are in use, and what there is to choose from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gallery.ml_worker.domain import Packs
from gallery.ml_worker.packs import FacePack, Shelf, TagPack, choose_faces, choose_tags, read_packs
from gallery.ml_worker.settings import MlWorkerSettings


@dataclass(frozen=True, slots=True)
class Choice:
    """The packs in use.

    Attributes:
        notices: What the user should know of the choice, one line each.
        listing: Every pack there is, as JSON says it.
    """

    shelf: Shelf
    faces: FacePack
    tags: TagPack | None
    notices: Sequence[str]
    listing: Sequence[Mapping[str, Any]]

    @property
    def names(self) -> Packs:
        """Of the packs in use."""
        return Packs(self.faces.name, self.tags.name if self.tags else None)

    @property
    def without_pack(self) -> list[str]:
        """Stages that end with the reason ``no_pack``."""
        return ["text"] if self.tags else ["tags", "text"]


def choose(settings: MlWorkerSettings) -> Choice:
    """Choose packs; reads and hashes their weights, which takes a moment.

    Raises:
        PackError: A pack asked for by name cannot be had.
    """
    packs = read_packs(settings.packs_descriptions)
    shelf = Shelf(settings.weights)
    faces = choose_faces(packs, shelf, wanted=settings.face_pack, accepted=settings.accepted)
    tags = choose_tags(packs, shelf, wanted=settings.tag_pack, accepted=settings.accepted)
    used = {faces.pack.name, tags.name if tags else ""}
    listing = [
        {
            "name": pack.name,
            "kind": pack.kind,
            "licence": pack.licence,
            "licence_note": pack.licence_note,
            "there": shelf.has(pack),
            "in_use": pack.name in used,
            "measured": pack.thresholds.measured if isinstance(pack, FacePack) else "",
        }
        for pack in packs.values()
    ]
    return Choice(shelf, faces.pack, tags, [faces.notice] if faces.notice else [], listing)
