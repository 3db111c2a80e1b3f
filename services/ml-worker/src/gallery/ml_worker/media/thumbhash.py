"""A placeholder of some 25 bytes that can be drawn before anything is loaded.

Written from the format's public description (evanw.github.io/thumbhash): means and the first cosine coefficients of
luminance and two colour differences, four bits each. Our pictures have no transparency by then.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.ml_worker.media.source import Pixels

_SIDE = 100
_LUMA_TERMS, _COLOUR_TERMS = 7, 3

Channel = NDArray[np.float64]


def thumbhash(pixels: Pixels) -> bytes:
    """Encode a BGR picture."""
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    blue, green, red = np.moveaxis(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) / 255.0, 2, 0)
    width, height = size
    across = max(1, _round(_LUMA_TERMS * width / max(width, height)))
    down = max(1, _round(_LUMA_TERMS * height / max(width, height)))
    luma = _encode((red + green + blue) / 3, max(3, across), max(3, down))
    yellow = _encode((red + green) / 2 - blue, _COLOUR_TERMS, _COLOUR_TERMS)
    green_red = _encode(red - green, _COLOUR_TERMS, _COLOUR_TERMS)
    landscape = width > height
    head = _round(63 * luma[0]) | _round(31.5 + 31.5 * yellow[0]) << 6 | _round(31.5 + 31.5 * green_red[0]) << 12
    head |= _round(31 * luma[2]) << 18
    tail = (down if landscape else across) | _round(63 * yellow[2]) << 3 | _round(63 * green_red[2]) << 9
    tail |= landscape << 15
    nibbles = [_round(15 * value) for channel in (luma, yellow, green_red) for value in channel[1]]
    nibbles += [0] * (len(nibbles) % 2)
    packed = bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return int(head).to_bytes(3, "little") + int(tail).to_bytes(2, "little") + packed


def _encode(channel: Channel, across: int, down: int) -> tuple[float, list[float], float]:
    """Mean, the coefficients of a triangle of frequencies scaled to 0..1, and the scale."""
    height, width = channel.shape
    columns = np.cos(np.pi / width * np.outer(np.arange(across), np.arange(width) + 0.5))
    rows = np.cos(np.pi / height * np.outer(np.arange(down), np.arange(height) + 0.5))
    terms = rows @ channel @ columns.T / (width * height)
    chosen = [
        float(terms[y, x]) for y in range(down) for x in range(across) if (x or y) and x * down < across * (down - y)
    ]
    scale = max((abs(value) for value in chosen), default=0.0)
    return float(terms[0, 0]), [0.5 + 0.5 * value / scale if scale else 0.0 for value in chosen], scale


def _round(value: float) -> int:
    """Half up, as JavaScript rounds."""
    return math.floor(value + 0.5)
