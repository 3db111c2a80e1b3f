"""Model packs: weights described by data, found by their sha256, chosen by name or by licence.

A pack file names what its networks eat and give, where its thresholds were measured, and what its licence allows. The
weights are looked for in folders; nothing is downloaded here. A name never gets other weights, so it is the id
that vectors are stored with.
"""

import hashlib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gallery.runtime.errors import GalleryError

AUTO = "auto"
OFFLINE = "dlib"
"""The face pack whose weights come with a PyPI package: always there."""


class PackError(GalleryError):
    """A pack cannot be used; the message says why and what to do."""


class UnknownPackError(PackError):
    """No pack file has this name."""


class MissingWeightsError(PackError):
    """None of the folders holds a file with the sha256 that the pack names."""


class LicenceNotAcceptedError(PackError):
    """The pack's licence wants to be accepted first."""


class BadPackError(PackError):
    """A pack file does not say what it has to."""


class Licence(StrEnum):
    """What a pack may be used for."""

    PERMISSIVE = "permissive"
    NON_COMMERCIAL = "non-commercial"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(_Data):
    """One file.

    Attributes:
        file: What it is usually called.
        sha256: Of its content, in hex; this alone finds it.
        source: Where the content, or what it was made from, was first published.
        package: The installed package that carries it in a folder ``models``, if one does.
    """

    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    source: str
    package: str | None = None


class DetectorSpec(_Data):
    """A face detector: family, weights, input, least score (0 to 1), looks (px), overlap of one face (IoU)."""

    family: Literal["scrfd", "yunet", "dlib"]
    weights: Weights
    input: str = ""
    score: float
    looks: tuple[int, ...] = ()
    overlap: float


class EmbedderSpec(_Data):
    """A face embedder: family, weights, input, vector length; pixels enter as (x - ``mean``) / ``scale``."""

    family: Literal["arcface", "dlib"]
    weights: Weights
    dimension: int
    input: str = ""
    mean: float = 0
    scale: float = 1


class Thresholds(_Data):
    """When faces belong together, as cosines.

    Attributes:
        together: Least mean similarity of a group (average linkage), the canonical grouping.
        match: Least mean similarity to a person's nearest examples for a provisional match.
        margin: By how much that must beat the next best person.
        measured: On what, and with which result; empty: unmeasured, the pack only suggests.
    """

    together: float
    match: float
    margin: float
    measured: str = ""


class FacePack(_Data):
    """Finds faces and compares them."""

    kind: Literal["faces"]
    name: str
    licence: Licence
    licence_note: str
    detector: DetectorSpec
    embedder: EmbedderSpec
    thresholds: Thresholds

    @property
    def weights(self) -> tuple[Weights, ...]:
        """Every file it needs."""
        return self.detector.weights, self.embedder.weights


class TagPack(_Data):
    """Names what a photo shows.

    Attributes:
        input: Name of the graph's input.
        features: Inner value of the graph that becomes the image vector.
        dimension: Of that vector.
        floor: Least probability of a tag.
        measured: How the floor was chosen.
    """

    kind: Literal["tags"]
    name: str
    licence: Licence
    licence_note: str
    network: Weights
    labels: Weights
    input: str
    features: str
    dimension: int
    floor: float
    measured: str

    @property
    def weights(self) -> tuple[Weights, ...]:
        """Every file it needs."""
        return self.network, self.labels


Pack = Annotated[FacePack | TagPack, Field(discriminator="kind")]

_PACK: TypeAdapter[FacePack | TagPack] = TypeAdapter(Pack)


def read_packs(folder: Path) -> Mapping[str, FacePack | TagPack]:
    """Every pack file of a folder, by name.

    Raises:
        BadPackError: One of them is not what it should be.
    """
    packs: dict[str, FacePack | TagPack] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            pack = _PACK.validate_python(tomllib.loads(path.read_text(encoding="utf-8")), strict=False)
        except (ValidationError, tomllib.TOMLDecodeError) as fault:
            raise BadPackError(f"The pack file {path.name} cannot be used: {fault}") from fault
        packs[pack.name] = pack
    return packs


class Shelf:
    """The folders that weights are looked for in, by what the files hold and not by what they are called."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Keep the folders, the first being looked into first."""
        self._folders = tuple(folders)
        self._digests: dict[Path, str] = {}

    def find(self, weights: Weights) -> Path:
        """The file of this sha256.

        Raises:
            MissingWeightsError: There is none.
        """
        for path in self._likely(weights):
            if self._digest(path) == weights.sha256:
                return path
        places = ", ".join(str(folder) for folder in self._folders) or "no folder"
        raise MissingWeightsError(
            f"{weights.file} (sha256 {weights.sha256[:12]}…) was not found in {places}. "
            f"Put it there or name its folder in GALLERY_PACKS_PATH. It comes from {weights.source}."
        )

    def has(self, pack: FacePack | TagPack) -> bool:
        """Whether every file of a pack is there."""
        try:
            for weights in pack.weights:
                self.find(weights)
        except MissingWeightsError:
            return False
        return True

    def _likely(self, weights: Weights) -> list[Path]:
        """Files to try, those of the right name first, so that the others are seldom read."""
        folders = [*self._folders, *_package_models(weights.package)]
        files = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_file()]
        return sorted(files, key=lambda path: path.name != weights.file)

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            with path.open("rb") as file:
                self._digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[path]


def _package_models(package: str | None) -> list[Path]:
    """The folder ``models`` of an installed package, found without importing it: face_recognition_models cannot be."""
    spec = find_spec(package) if package else None
    places = spec.submodule_search_locations if spec else None
    return [Path(place) / "models" for place in places or []]


@dataclass(frozen=True, slots=True)
class FaceChoice:
    """The face pack in use, and one line for the user when it is not the best there could be."""

    pack: FacePack
    notice: str = ""


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
