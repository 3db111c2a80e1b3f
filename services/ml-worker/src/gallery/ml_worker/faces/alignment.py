"""Bringing every face to the same place before it becomes a vector."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.ml_worker.faces.detection import Floats, Image

SIDE = 112

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where ArcFace wants the eyes, the nose and the corners of the mouth in 112 x 112 pixels (Deng et al. 2019)."""


def similarity(source: Floats, target: Floats) -> NDArray[np.float64]:
    """The turn, scale and shift, shape (2, 3), that brings points closest to others; it never mirrors.

    Points as complex numbers make it one division: the least squares solution of ``a * source + b = target``.

    Raises:
        ValueError: All points of ``source`` are the same.
    """
    before = source[:, 0].astype(np.float64) + 1j * source[:, 1]
    after = target[:, 0].astype(np.float64) + 1j * target[:, 1]
    spread = before - before.mean()
    size = float((spread * spread.conj()).real.sum())
    if size == 0:
        raise ValueError("five landmarks in one point say nothing of a face's place")
    turn = complex((spread.conj() * (after - after.mean())).sum() / size)
    shift = after.mean() - turn * before.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def align(image: Image, landmarks: Floats) -> Image:
    """Cut a face out, upright, eyes and mouth where the embedder expects them: shape (112, 112, 3)."""
    matrix = similarity(landmarks, TEMPLATE)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:  # noqa: PLR2004 - beyond a half, sampling every second pixel leaves the others out
        image, matrix = _shrink(image, matrix, shrink=int(1 / scale))
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8)


def _shrink(image: Image, matrix: NDArray[np.float64], *, shrink: int) -> tuple[Image, NDArray[np.float64]]:
    """Average the neighbourhood of the face first, so that a large face is not sampled with gaps."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0, 1], [SIDE, 0, 1], [0, SIDE, 1], [SIDE, SIDE, 1]]) @ inverse.T
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    part = image[top:bottom, left:right]
    height, width = part.shape[0] // shrink * shrink, part.shape[1] // shrink * shrink
    if min(height, width) <= 0:  # hardly anything of the face is in the picture: gaps are the least of its faults
        return image, matrix
    small = cv2.resize(part[:height, :width], (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    # A pixel's centre lies half a pixel in, in both pictures; the shift keeps them on each other.
    centre = (shrink - 1) / 2
    back = np.array([[shrink, 0, left + centre], [0, shrink, top + centre], [0, 0, 1]])
    return np.asarray(small, np.uint8), matrix @ back
