"""What a detector says, and the two looks that every network takes at a photo."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Upright RGB picture, shape (height, width, 3)."""

Floats = NDArray[np.float32]

STEP = 32
"""Networks halve their input five times, so its sides are multiples of this."""


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One face in one picture.

    Attributes:
        box: x, y, width, height in pixels of the picture; may reach over its edges.
        score: 0 to 1, the detector's own.
        landmarks: Shape (5, 2), x and y in pixels; which points these are is the detector's convention.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: Floats


class Detector(Protocol):
    """Finds faces."""

    def detect(self, image: Image) -> list[Detection]:
        """Every face of a picture, the surest first. An empty picture has none."""
        ...


class Candidates(NamedTuple):
    """Possible faces: corners (n, 4) as left, top, right, bottom; scores (n,); landmarks (n, 5, 2); all in pixels."""

    corners: Floats
    scores: Floats
    landmarks: Floats

    def scaled(self, factor: tuple[float, float]) -> "Candidates":
        """The same candidates in a picture that is ``factor`` times as wide and as high."""
        both = np.array(factor, np.float32)
        return Candidates(self.corners * np.tile(both, 2), self.scores, self.landmarks * both)

    def rows(self, keep: NDArray[np.intp]) -> "Candidates":
        """Some of them, in the order of ``keep``."""
        return Candidates(self.corners[keep], self.scores[keep], self.landmarks[keep])


def join(parts: Sequence[Candidates]) -> Candidates:
    """All candidates of several lists in one."""
    return Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Head(Protocol):
    """One network: what it sees in a picture whose sides are multiples of 32."""

    def candidates(self, image: Image) -> Candidates:
        """Everything above its score, overlapping ones included."""
        ...


class TwoLooks:
    """Looks at a photo at several sizes and merges what it saw.

    A face that fills the frame is missed at 640 pixels (0 to 5 of 45 tight crops found) and seen at 128 (45 of 45),
    while the faces of a group need the large look. The small one costs a twenty-fifth of the large one.
    """

    def __init__(self, head: Head, *, looks: Sequence[int], overlap: float) -> None:
        """Keep a network and its looks.

        Args:
            head: The network.
            looks: Length of the longer side of each look, in pixels, multiples of 32.
            overlap: Intersection over union above which two candidates are one face.
        """
        self._head = head
        self._looks = tuple(looks)
        self._overlap = overlap

    def detect(self, image: Image) -> list[Detection]:
        """Every face, the surest first."""
        if min(image.shape[:2]) == 0:
            return []
        seen = join([self._look(image, side) for side in self._looks])
        return as_detections(seen.rows(suppress(seen, overlap=self._overlap)))

    def _look(self, image: Image, side: int) -> Candidates:
        boxed, back = letterbox(image, side)
        return self._head.candidates(boxed).scaled(back)


def letterbox(image: Image, side: int) -> tuple[Image, tuple[float, float]]:
    """Scale a picture until its longer side is ``side``, and pad it right and below with black to multiples of 32.

    Returns:
        The padded picture, and how many pixels of the original, across and down, one of its pixels stands for. The two
        differ a little since sides are whole numbers; one factor for both puts boxes pixels off at the far edge.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    fit_width, fit_height = max(1, int(width * scale)), max(1, int(height * scale))
    boxed = np.zeros((-(-fit_height // STEP) * STEP, -(-fit_width // STEP) * STEP, 3), np.uint8)
    boxed[:fit_height, :fit_width] = cv2.resize(image, (fit_width, fit_height), interpolation=cv2.INTER_LINEAR)
    return boxed, (width / fit_width, height / fit_height)


def suppress(candidates: Candidates, *, overlap: float) -> NDArray[np.intp]:
    """Rows to keep: from the surest down, each that overlaps no kept one by more than ``overlap`` (greedy NMS)."""
    left, top, right, bottom = candidates.corners.T
    areas = (right - left) * (bottom - top)
    order = np.argsort(-candidates.scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        order = rest[shared <= overlap * (areas[best] + areas[rest] - shared)]
    return np.array(kept, np.intp)


def as_detections(candidates: Candidates) -> list[Detection]:
    """Rows as values, corners as x, y, width, height."""
    return [
        Detection((float(x), float(y), float(right - x), float(bottom - y)), float(score), points)
        for (x, y, right, bottom), score, points in zip(*candidates, strict=True)
    ]


def grid(height: int, width: int, stride: int) -> Floats:
    """Top left corners (height / stride * width / stride, 2) of a network's cells, row by row, as x and y in pixels."""
    rows, columns = np.mgrid[0:height:stride, 0:width:stride]
    return np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
