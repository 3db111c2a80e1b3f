"""YuNet, 75,000 parameters (Wu et al. 2023, doi:10.1007/s11633-023-1423-y), decoded from its raw outputs."""

import numpy as np

from gallery.ml_worker.faces.detection import Candidates, Floats, Image, grid, join
from gallery.ml_worker.sessions import Session

STRIDES = (8, 16, 32)


class YunetHead:
    """One YuNet graph: class, objectness, box and points at three strides, one guess a cell."""

    def __init__(self, session: Session, *, input_name: str, score: float) -> None:
        """Keep a graph.

        Args:
            session: Takes (1, 3, height, width) float32 BGR, 0 to 255.
            input_name: Of the graph's input.
            score: Least score of a candidate, 0 to 1.
        """
        self._session = session
        self._input_name = input_name
        self._score = score

    def candidates(self, image: Image) -> Candidates:
        """Everything at least as sure as the threshold."""
        height, width = image.shape[:2]
        tensor = image[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        outputs = self._session.run({self._input_name: np.ascontiguousarray(tensor)})
        flat = [output.reshape(-1, output.shape[-1]) for output in outputs]
        return join(
            [self._decode(flat[level::3], grid(height, width, stride), stride) for level, stride in enumerate(STRIDES)]
        )

    def _decode(self, level: list[Floats], cells: Floats, stride: int) -> Candidates:
        """Turn offsets in strides and logarithms of sizes into corners and points in pixels."""
        classes, objectness, boxes, points = level
        scores = np.sqrt(np.clip(classes[:, 0], 0, 1) * np.clip(objectness[:, 0], 0, 1))
        rows = np.flatnonzero(scores >= self._score)
        origin = cells[rows]
        centre = origin + boxes[rows, :2] * stride
        half = np.exp(boxes[rows, 2:]) * (stride / 2)
        landmarks = origin[:, None] + points[rows].reshape(-1, 5, 2) * stride
        return Candidates(np.concatenate([centre - half, centre + half], axis=1), scores[rows], landmarks)
