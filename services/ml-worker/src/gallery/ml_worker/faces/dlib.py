"""dlib's face models, for a gallery that has nothing but what PyPI brings.

HOG finds the faces, five landmarks align them, a ResNet makes vectors of 128. The 68-point model that lies beside them
excludes commercial use and is never loaded.
"""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np

from gallery.ml_worker.faces.detection import Candidates, Detection, Floats, Image, as_detections, join, suppress
from gallery.ml_worker.faces.embedding import normalised

LARGEST = 1280
"""Longer side of the first look in pixels: HOG needs 70 CPU ms there, and sees faces of 80 pixels and more."""

SMALLEST = 256
"""Longer side of the second look in pixels, padding aside: a face that fills the frame then has HOG's size."""

PADDING = 0.3
"""Of the longer side, on each edge of the second look."""

CHIP = 150
"""Side in pixels of what the embedder takes."""


class DlibDetector:
    """HOG at two looks, with five landmarks: both corners of both eyes, and the base of the nose."""

    def __init__(self, landmarks: Path, *, score: float, overlap: float) -> None:
        """Load the models.

        Args:
            landmarks: ``shape_predictor_5_face_landmarks.dat``.
            score: Least margin of the HOG classifier; 0 is dlib's own.
            overlap: Intersection over union above which two finds are one face.
        """
        import dlib

        self._dlib: Any = dlib
        self._hog: Any = dlib.get_frontal_face_detector()
        self._points: Any = dlib.shape_predictor(str(landmarks))
        self._one_at_a_time = Lock()  # dlib's objects keep their scratch inside
        self._score = score
        self._overlap = overlap

    def detect(self, image: Image) -> list[Detection]:
        """Every face, the surest first. Scores are HOG margins pressed into 0 to 1."""
        if min(image.shape[:2]) == 0:
            return []
        seen = join([self._look(image, side=LARGEST, padding=0, grow=False), self._tight_look(image)])
        return as_detections(seen.rows(suppress(seen, overlap=self._overlap)))

    def _tight_look(self, image: Image) -> Candidates:
        return self._look(image, side=SMALLEST, padding=int(SMALLEST * PADDING), grow=True)

    def _look(self, image: Image, *, side: int, padding: int, grow: bool) -> Candidates:
        """Find faces in the picture scaled to ``side`` (enlarged only if ``grow``) within a frame of its edge."""
        longer = max(image.shape[:2])
        scale = side / longer if grow or longer > side else 1.0
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        framed = cv2.copyMakeBorder(small, padding, padding, padding, padding, cv2.BORDER_REPLICATE)
        with self._one_at_a_time:
            boxes, scores, _ = self._hog.run(framed, 0, self._score)
        points = [[(p.x, p.y) for p in self._points(framed, box).parts()] for box in boxes]
        corners = [(box.left(), box.top(), box.right() + 1, box.bottom() + 1) for box in boxes]
        found = Candidates(
            np.array(corners, np.float32).reshape(-1, 4) - padding,
            np.asarray(1 / (1 + np.exp(-np.array(scores))), np.float32),
            np.array(points, np.float32).reshape(-1, 5, 2) - padding,
        )
        return found.scaled((image.shape[1] / size[0], image.shape[0] / size[1]))


class DlibEmbedder:
    """The ResNet of 29 layers that dlib's author trained (99.38 % on LFW as published)."""

    def __init__(self, network: Path) -> None:
        """Load ``dlib_face_recognition_resnet_model_v1.dat``."""
        import dlib

        self._dlib: Any = dlib
        self._network: Any = dlib.face_recognition_model_v1(str(network))
        self._one_at_a_time = Lock()

    @property
    def dimension(self) -> int:
        """Length of its vectors."""
        return 128

    def crop(self, image: Image, face: Detection) -> Image:
        """The aligned face, shape (150, 150, 3)."""
        x, y, width, height = (round(side) for side in face.box)
        box = self._dlib.rectangle(x, y, x + width, y + height)
        points = [self._dlib.point(round(float(a)), round(float(b))) for a, b in face.landmarks]
        shape = self._dlib.full_object_detection(box, points)
        return np.asarray(self._dlib.get_face_chip(np.ascontiguousarray(image), shape, CHIP, 0.25), np.uint8)

    def embed(self, crops: Sequence[Image]) -> Floats:
        """Vectors of length one, shape (faces, 128).

        dlib compares by distance between vectors that are nearly of one length; made of length one, distance and cosine
        say the same (d² = 2 - 2 cos), and every pack is compared alike.
        """
        if not crops:
            return np.empty((0, self.dimension), np.float32)
        with self._one_at_a_time:
            vectors = self._network.compute_face_descriptor([np.ascontiguousarray(crop) for crop in crops], 0)
        return normalised(np.array([list(vector) for vector in vectors], np.float32))
