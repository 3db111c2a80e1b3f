"""How values stand in columns."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gallery.ml_worker.domain import Box, End, Measures, Packs, Photo, SeenFace, State, Vector, overlap

SAME_FACE = 0.5
"""Least intersection over union at which a face found again is the face found before."""


def packed(vector: Vector) -> bytes:
    """A vector as little-endian float32."""
    return vector.astype("<f4").tobytes()


def measures(photo_id: UUID, measured: Measures) -> dict[str, Any]:
    """Columns of what was measured."""
    return {
        "id": photo_id,
        "sharpness": measured.sharpness,
        "brightness": measured.brightness,
        "clipped_dark": measured.clipped_dark,
        "clipped_bright": measured.clipped_bright,
        "phash": measured.phash.to_bytes(8),
        "dhash": measured.dhash.to_bytes(8),
        "thumbhash": measured.thumbhash,
    }


def face(face_id: UUID, photo: Photo, seen: SeenFace, *, pack: str) -> dict[str, Any]:
    """Columns of a face."""
    return {
        "id": face_id,
        "library_id": photo.library_id,
        "photo_id": photo.id,
        "pack": pack,
        "box": list(seen.box),
        "score": seen.score,
        "quality": seen.quality,
        "landmarks": [float(value) for value in seen.landmarks.ravel()],
        "vector": packed(seen.vector),
        "ignored": seen.ignored,
    }


def ended(row: Mapping[str, Any]) -> tuple[UUID, int, End]:
    """Id, revision and end of an analysis."""
    return (
        row["id"],
        row["revision"],
        End(
            state=State(row["state"]),
            reason=row["reason"],
            attempts=row["attempts"],
            packs=Packs(row["face_pack"], row["tag_pack"]),
            width=row["width"],
            height=row["height"],
            faces=row["faces"],
        ),
    )


def inherited(found: Sequence[Box], former: Mapping[UUID, Box]) -> list[UUID | None]:
    """For each box that was found, the id of the one it was before: one to one, the closest pairs first."""
    pairs = sorted(
        ((overlap(box, old), index, face_id) for index, box in enumerate(found) for face_id, old in former.items()),
        key=lambda pair: (-pair[0], pair[1], str(pair[2])),
    )
    ids: list[UUID | None] = [None] * len(found)
    for share, index, face_id in pairs:
        if share >= SAME_FACE and ids[index] is None and face_id not in ids:
            ids[index] = face_id
    return ids
