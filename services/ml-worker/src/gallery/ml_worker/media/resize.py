"""Making pictures smaller."""

import cv2

from gallery.ml_worker.media.source import Pixels

_HALF = 0.5


def fit(pixels: Pixels, long_edge: int) -> Pixels:
    """Scale down until the longer side is ``long_edge``; smaller pictures stay.

    Down to a half, two neighbours tell all there is and bilinear costs a quarter; below, areas are averaged.
    """
    height, width = pixels.shape[:2]
    scale = long_edge / max(width, height)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_LINEAR if scale >= _HALF else cv2.INTER_AREA
    return cv2.resize(pixels, size, interpolation=how)  # type: ignore[return-value]
