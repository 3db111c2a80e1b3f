"""What a decoder is given, and what it hands on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.ml_worker.errors import RejectedError

LONG_EDGE = 1440
"""Of the preview and of the picture the models see, in pixels."""

Pixels = NDArray[np.uint8]
"""Shape (height, width, 3), **BGR**, as OpenCV decodes and encodes; turned to RGB once, at the very end."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, at least as large as needed, not yet turned upright nor brought to sRGB.

    Attributes:
        pixels: The long edge is at least 1440 px unless the original's is shorter.
        width: Of the original as stored, before turning, pixels.
        height: Of the original as stored, pixels.
        orientation: EXIF value, 1 to 8; 1 when the decoder has turned it already.
        icc: Colour profile of the pixels; None for sRGB or unknown.
    """

    pixels: Pixels
    width: int
    height: int
    orientation: int = 1
    icc: bytes | None = None


class PixelBudget:
    """The number of pixels that may be decoded; asked before any is."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def check(self, width: int, height: int) -> None:
        """Refuse a picture by the size that its header announces.

        Raises:
            RejectedError: ``too_many_pixels``, or ``undecodable`` for one without any.
        """
        if width <= 0 or height <= 0:
            raise RejectedError("undecodable", f"the header announces {width} x {height} pixels")
        if width * height > self._limit:
            limit = f"{self._limit / 1e6:g} million"
            raise RejectedError("too_many_pixels", f"{width} x {height} pixels are more than {limit}")
