"""How much a face's vector can be trusted, from its size, sharpness and pose."""

from dataclasses import dataclass

import cv2
import numpy as np

from gallery.ml_worker.faces.detection import Detection, Image

LEAST_SIZE = 20.0
"""Pixels of a box's shorter side; below, embedders see invented pixels only."""

FULL_SIZE = 112.0
"""Pixels of a box's shorter side from which more bring nothing: the embedders' own input."""

LEAST_SHARPNESS = 0.004
"""Below, a face is a smear whose vector resembles any other smear; a hundredth of LFW's faces lie here."""

FULL_SHARPNESS = 0.06
"""Median of LFW's faces as they are."""

WORST = 0.05
"""What one bad measure leaves of its part, so that a profile is a poor face and not none."""

SIDE = 112
"""Pixels of the square in which sharpness is measured, whatever an embedder's crop."""


@dataclass(frozen=True, slots=True)
class FacePoints:
    """Which landmarks of a detector are the eyes and the nose.

    Attributes:
        left: Rows whose mean is the eye on the picture's left.
        right: Rows whose mean is the eye on the picture's right.
        nose: Row of the nose.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    nose: int


ARCFACE_POINTS = FacePoints(left=(0,), right=(1,), nose=2)
DLIB_POINTS = FacePoints(left=(2, 3), right=(0, 1), nose=4)


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """What was measured.

    Attributes:
        size: Shorter side of the box in pixels of the picture that was looked at.
        sharpness: Energy of the crop's Laplacian over that of its brightness; 0 is flat, 0.06 usual.
        frontal: 1 for a face that looks into the camera, 0 for a profile.
        score: 0 to 1, all of them and the detector's score in one figure (geometric mean).
        reason: ``too_small`` or ``too_blurry`` when the face must not be grouped, else empty.
    """

    size: float
    sharpness: float
    frontal: float
    score: float
    reason: str


def measure(face: Detection, crop: Image, points: FacePoints) -> FaceQuality:
    """Measure one face, given its aligned crop."""
    size = min(face.box[2:])
    sharpness, frontal = sharpness_of(crop), frontal_of(face, points)
    parts = (size / FULL_SIZE, sharpness / FULL_SHARPNESS, frontal, face.score)
    score = float(np.prod(np.clip(parts, WORST, 1)) ** (1 / len(parts)))
    return FaceQuality(size, sharpness, frontal, score, _reason(size, sharpness))


def sharpness_of(crop: Image) -> float:
    """Laplacian variance over brightness variance: contrast cancels out (after Pech-Pacheco et al. 2000)."""
    crop = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var() / max(float(grey.var()), 1.0))


def frontal_of(face: Detection, points: FacePoints) -> float:
    """How near the nose lies to the middle between the eyes, along the line through them."""
    left = face.landmarks[list(points.left)].mean(axis=0)
    right = face.landmarks[list(points.right)].mean(axis=0)
    across = right - left
    length = float(across @ across)
    if length == 0:
        return 0.0
    place = float((face.landmarks[points.nose] - left) @ across) / length
    return float(np.clip(1 - 2 * abs(place - 0.5), 0, 1))


def _reason(size: float, sharpness: float) -> str:
    if size < LEAST_SIZE:
        return "too_small"
    return "too_blurry" if sharpness < LEAST_SHARPNESS else ""
