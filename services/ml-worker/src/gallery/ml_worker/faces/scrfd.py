"""SCRFD, the face detector of InsightFace (Guo et al. 2021, arXiv:2105.04714), decoded from its raw outputs."""

import numpy as np

from gallery.ml_worker.faces.detection import Candidates, Floats, Image, grid, join
from gallery.ml_worker.sessions import Session

STRIDES = (8, 16, 32)
ANCHORS = 2
"""Guesses a cell; both start at the cell's top left corner."""


class ScrfdHead:
    """One SCRFD graph with landmarks: nine outputs, scores, distances and points at three strides."""

    def __init__(self, session: Session, *, input_name: str, score: float) -> None:
        """Keep a graph.

        Args:
            session: Takes (1, 3, height, width) float32 RGB as (x - 127.5) / 128; its batch is one by nature.
            input_name: Of the graph's input.
            score: Least score of a candidate, 0 to 1.
        """
        self._session = session
        self._input_name = input_name
        self._score = score

    def candidates(self, image: Image) -> Candidates:
        """Everything at least as sure as the threshold."""
        height, width = image.shape[:2]
        tensor = ((image.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
        outputs = self._session.run({self._input_name: np.ascontiguousarray(tensor)})
        flat = [output.reshape(-1, output.shape[-1]) for output in outputs]
        return join(
            [
                self._decode(flat[level], flat[level + 3], flat[level + 6], grid(height, width, stride), stride)
                for level, stride in enumerate(STRIDES)
            ]
        )

    def _decode(self, scores: Floats, sides: Floats, points: Floats, cells: Floats, stride: int) -> Candidates:
        """Turn distances from a cell's corner, in strides, into corners and points in pixels."""
        rows = np.flatnonzero(scores[:, 0] >= self._score)
        origin, reach = np.repeat(cells, ANCHORS, axis=0)[rows], sides[rows] * stride
        corners = np.concatenate([origin - reach[:, :2], origin + reach[:, 2:]], axis=1)
        landmarks = origin[:, None] + points[rows].reshape(-1, 5, 2) * stride
        return Candidates(corners, scores[rows, 0], landmarks)
