"""Everything that is derived from one decode."""

import cv2
import numpy as np

from gallery.ml_worker.domain import Rendering
from gallery.ml_worker.media.colour import to_srgb
from gallery.ml_worker.media.measures import measure
from gallery.ml_worker.media.orientation import upright, upright_size
from gallery.ml_worker.media.resize import fit
from gallery.ml_worker.media.source import LONG_EDGE, Decoded, Pixels

THUMBNAIL = 320
QUALITY = 82
"""Of the JPEG renditions: no difference to be seen at 1440 px, a tenth of the original's size."""


def derive(decoded: Decoded) -> Rendering:
    """Make the upright sRGB picture, its two renditions, and measure it."""
    picture = upright(to_srgb(fit(decoded.pixels, LONG_EDGE), decoded.icc), decoded.orientation)
    width, height = upright_size(decoded.width, decoded.height, decoded.orientation)
    small = fit(picture, THUMBNAIL)
    return Rendering(
        width=width,
        height=height,
        preview=_jpeg(picture),
        thumbnail=_jpeg(small),
        measures=measure(picture, small),
        picture=cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False),
    )


def _jpeg(pixels: Pixels) -> bytes:
    packed, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert packed  # noqa: S101  # eight bits, three channels: the encoder has no reason to refuse
    return data.tobytes()
