"""Which packs to use: the one asked for by name, or the best that may be used freely and is there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gallery.ml_worker.packs import (
    FacePack,
    Licence,
    LicenceNotAcceptedError,
    Shelf,
    TagPack,
    UnknownPackError,
    read_packs,
)

AUTO = "auto"
OFFLINE = "dlib"
"""The face pack whose weights come with a PyPI package: always there."""


@dataclass(frozen=True, slots=True)
class FaceChoice:
    """The face pack in use, and one line for the user when it is not the best there could be."""

    pack: FacePack
    notice: str = ""


@dataclass(frozen=True, slots=True)
class PacksInUse:
    """What one process works with.

    Attributes:
        faces: The face pack.
        tags: The tag pack, None when there is none.
        shelf: Where their weights lie.
        notice: One line for the user when the face pack is not the best there could be.
    """

    faces: FacePack
    tags: TagPack | None
    shelf: Shelf
    notice: str


def packs_in_use(
    folder: Path, places: Sequence[Path], *, faces: str = AUTO, tags: str = AUTO, accepted: Collection[str] = ()
) -> PacksInUse:
    """Read the pack files of ``folder`` and choose; weights are looked for in ``places``, the first one first.

    Raises:
        PackError: A pack asked for by name cannot be had.
    """
    packs, shelf = read_packs(folder), Shelf(places)
    choice = choose_faces(packs, shelf, wanted=faces, accepted=accepted)
    return PacksInUse(choice.pack, choose_tags(packs, shelf, wanted=tags, accepted=accepted), shelf, choice.notice)


def choose_faces(
    packs: Mapping[str, FacePack | TagPack], shelf: Shelf, *, wanted: str, accepted: Collection[str]
) -> FaceChoice:
    """The face pack of this name; for ``auto`` the best permissive one whose weights are there, else the offline one.

    Raises:
        PackError: The pack asked for by name cannot be had.
    """
    if wanted != AUTO:
        pack = _named(packs, shelf, wanted=wanted, accepted=accepted)
        if not isinstance(pack, FacePack):
            raise UnknownPackError(f"The pack {wanted} is for {pack.kind}, not for faces.")
        return FaceChoice(pack)
    for pack in packs.values():
        if isinstance(pack, FacePack) and pack.name != OFFLINE and _free(pack) and shelf.has(pack):
            return FaceChoice(pack)
    offline = _named(packs, shelf, wanted=OFFLINE, accepted=accepted)
    if not isinstance(offline, FacePack):
        raise UnknownPackError(f"The pack {OFFLINE} is for {offline.kind}, not for faces.")
    return FaceChoice(
        offline,
        "Faces are found by the offline pack dlib, which misses small and turned faces; "
        "set GALLERY_FACE_PACK and GALLERY_PACKS_PATH to use a better one (gallery packs lists them).",
    )


def choose_tags(
    packs: Mapping[str, FacePack | TagPack], shelf: Shelf, *, wanted: str, accepted: Collection[str]
) -> TagPack | None:
    """The tag pack of this name; for ``auto`` a permissive one whose weights are there, or none.

    Raises:
        PackError: The pack asked for by name cannot be had.
    """
    if wanted != AUTO:
        pack = _named(packs, shelf, wanted=wanted, accepted=accepted)
        if not isinstance(pack, TagPack):
            raise UnknownPackError(f"The pack {wanted} is for {pack.kind}, not for tags.")
        return pack
    found = (pack for pack in packs.values() if isinstance(pack, TagPack) and _free(pack) and shelf.has(pack))
    return next(found, None)


def _named(
    packs: Mapping[str, FacePack | TagPack], shelf: Shelf, *, wanted: str, accepted: Collection[str]
) -> FacePack | TagPack:
    if wanted not in packs:
        raise UnknownPackError(f"There is no pack {wanted}; there are {', '.join(sorted(packs))}.")
    pack = packs[wanted]
    if not _free(pack) and pack.licence not in accepted:
        raise LicenceNotAcceptedError(
            f"The pack {wanted} is for non-commercial use only ({pack.licence_note}). "
            f"If that is what you do, set GALLERY_ACCEPT_LICENCES={pack.licence}."
        )
    for weights in pack.weights:
        shelf.find(weights)
    return pack


def _free(pack: FacePack | TagPack) -> bool:
    return pack.licence is Licence.PERMISSIVE
