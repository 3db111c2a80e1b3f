"""What is known of a photo after looking at it."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Picture = NDArray[np.uint8]
"""Shape (height, width, 3), RGB, upright."""

Box = tuple[float, float, float, float]
"""Left, top, width and height as shares of the upright picture, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """One face of one picture.

    Attributes:
        box: Where it is.
        score: The detector's certainty, 0 to 1.
        quality: How well it can be recognised, 0 to 1.
        landmarks: Shape (points, 2), shares of the upright picture.
        vector: Shape (dimension,), length 1.
        ignored: Why it takes no part in grouping, such as ``too_small``; None when it does.
    """

    box: Box
    score: float
    quality: float
    landmarks: Vector
    vector: Vector
    ignored: str | None = None


@dataclass(frozen=True, slots=True)
class Tag:
    """A thing seen; ``score`` is 0 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the models found in one picture; ``image_vector`` is None without a tag pack."""

    faces: tuple[SeenFace, ...] = ()
    tags: tuple[Tag, ...] = ()
    image_vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured on the pixels.

    Attributes:
        sharpness: Variance of the Laplacian of the luma at 1440 px, 8 bit.
        brightness: Mean luma, 0 to 1.
        clipped_dark: Share of pixels that are black.
        clipped_bright: Share of pixels that are white.
        phash: 64 bits, by the lowest frequencies of a cosine transform.
        dhash: 64 bits, by the gradient between neighbours.
        thumbhash: About 25 bytes, base64; a placeholder that can be drawn.
    """

    sharpness: float
    brightness: float
    clipped_dark: float
    clipped_bright: float
    phash: int
    dhash: int
    thumbhash: str


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """What one decode of a file gives.

    Attributes:
        width: Of the upright original, pixels.
        height: Of the upright original, pixels.
        preview: JPEG, sRGB, long edge at most 1440 px.
        thumbnail: JPEG, sRGB, long edge at most 320 px.
        picture: For the models, upright, long edge at most 1440 px.
        cpu_seconds: Of the processor, for all this.
    """

    width: int
    height: int
    preview: bytes
    thumbnail: bytes
    measures: Measures
    picture: Picture
    cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """The bytes of a file, as far as rendering needs them.

    Attributes:
        size: Of the whole file, bytes.
        head: The file; of a long video its first bytes.
        tail: Of a long video its last bytes, else empty.
    """

    size: int
    head: bytes
    tail: bytes = b""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo as its upload told of it.

    Attributes:
        blob_key: Where the original lies.
        sha256: Of the original, 32 bytes.
        size: Of the original, bytes.
        media_type: By content, such as ``image/jpeg``.
    """

    id: UUID
    library_id: UUID
    blob_key: str
    sha256: bytes
    size: int
    media_type: str


class State(StrEnum):
    """Where the analysis of a photo stands."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    """Ours: tried and given up; can be asked for again."""
    REJECTED = "rejected"
    """The file's: it will never work."""


@dataclass(frozen=True, slots=True)
class Packs:
    """Names of the packs that look at photos; None where there is none."""

    face: str | None
    tag: str | None


@dataclass(frozen=True, slots=True)
class End:
    """How the analysis of a photo ended.

    Attributes:
        reason: Stable code of a rejection or failure; empty when done.
        attempts: Leases it took.
        width: Pixels of the upright original, 0 when it could not be decoded; so is height.
        faces: How many were found.
    """

    state: State
    reason: str
    attempts: int
    packs: Packs
    width: int = 0
    height: int = 0
    faces: int = 0


@dataclass(frozen=True, slots=True)
class Rendition:
    """A derived picture as it is stored; ``kind`` is preview or thumbnail."""

    photo_id: UUID
    kind: str
    blob_key: str
    size: int
    sha256: bytes


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[0] + one[2], other[0] + other[2]), min(one[1] + one[3], other[1] + other[3])
    shared = max(0.0, right - left) * max(0.0, bottom - top)
    total = one[2] * one[3] + other[2] * other[3] - shared
    return shared / total if total > 0 else 0.0
