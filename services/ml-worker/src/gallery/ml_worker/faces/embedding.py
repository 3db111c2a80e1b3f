"""From an aligned face to a vector of length one."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gallery.ml_worker.faces.alignment import align
from gallery.ml_worker.faces.detection import Detection, Floats, Image
from gallery.ml_worker.sessions import Session

BATCH = 16
"""Faces a run: beyond this the speed no longer grows on a CPU, and memory does."""


class Embedder(Protocol):
    """Cuts faces out and turns them into vectors."""

    @property
    def dimension(self) -> int:
        """Length of its vectors."""
        ...

    def crop(self, image: Image, face: Detection) -> Image:
        """The face as the network wants to see it."""
        ...

    def embed(self, crops: Sequence[Image]) -> Floats:
        """Vectors of length one, shape (faces, dimension), in the order of the crops."""
        ...


class ArcFaceEmbedder:
    """Any network that takes 112 x 112 pixels on ArcFace's template."""

    def __init__(self, session: Session, *, input_name: str, dimension: int, mean: float, scale: float) -> None:
        """Keep a graph.

        Args:
            session: Takes (n, 3, 112, 112) float32 RGB as (x - mean) / scale; gives (n, dimension).
            input_name: Of the graph's input.
            dimension: Length of its vectors.
            mean: Subtracted from 0 to 255.
            scale: Divides what is left.
        """
        self._session = session
        self._input_name = input_name
        self._dimension = dimension
        self._mean = mean
        self._scale = scale

    @property
    def dimension(self) -> int:
        """Length of its vectors."""
        return self._dimension

    def crop(self, image: Image, face: Detection) -> Image:
        """The aligned face, shape (112, 112, 3)."""
        return align(image, face.landmarks)

    def embed(self, crops: Sequence[Image]) -> Floats:
        """Vectors of length one, in batches over all faces at hand, whichever photo they come from."""
        parts = [self._run(crops[start : start + BATCH]) for start in range(0, len(crops), BATCH)]
        return normalised(np.concatenate(parts)) if parts else np.empty((0, self._dimension), np.float32)

    def _run(self, crops: Sequence[Image]) -> Floats:
        tensor = (np.stack(crops).astype(np.float32) - self._mean) / self._scale
        (vectors,) = self._session.run({self._input_name: np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))})
        return np.asarray(vectors, np.float32)


def normalised(vectors: Floats) -> Floats:
    """Scale each row to length one; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
