"""Camera raw files: shown by the preview that the camera put in; developed, at half size, only when there is none."""

import io

import cv2
import numpy as np
import rawpy

from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.jpeg import decode_jpeg
from gallery.ml_worker.media.orientation import upright_size
from gallery.ml_worker.media.source import Decoded, PixelBudget, Pixels

_USEFUL = 640
"""Long edge in pixels below which an embedded preview only serves a camera's own screen."""

# LibRaw's flips as EXIF orientations.
_FLIPS = {0: 1, 3: 3, 5: 8, 6: 6}


def decode_raw(content: bytes, budget: PixelBudget) -> Decoded:
    """Decode the embedded preview, or develop the sensor's data.

    Raises:
        RejectedError: ``undecodable`` or ``too_many_pixels``.
    """
    try:
        with rawpy.imread(io.BytesIO(content)) as raw:
            sizes = raw.sizes
            budget.check(sizes.width, sizes.height)
            turn = _FLIPS.get(sizes.flip, 1)
            shown = _preview(raw, turn, budget)
            if shown is None:
                developed = raw.postprocess(half_size=True, use_camera_wb=True, user_flip=0, output_bps=8)
                shown = Decoded(np.ascontiguousarray(developed[..., ::-1]), sizes.width, sizes.height, turn)
    except (rawpy.LibRawError, OSError, ValueError) as error:
        raise RejectedError("undecodable", "the raw decoder gave up on it") from error
    return _sized(shown, (sizes.width, sizes.height), turn)


def _preview(raw: rawpy.RawPy, turn: int, budget: PixelBudget) -> Decoded | None:
    try:
        thumb = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if thumb.format is rawpy.ThumbFormat.JPEG:
        try:
            shown = decode_jpeg(bytes(thumb.data), budget)
        except RejectedError:
            return None
        turn = shown.orientation if shown.orientation != 1 else turn
        shown = Decoded(shown.pixels, shown.width, shown.height, turn, shown.icc)
    else:
        pixels: Pixels = cv2.cvtColor(np.asarray(thumb.data), cv2.COLOR_RGB2BGR)  # type: ignore[assignment]
        shown = Decoded(pixels, pixels.shape[1], pixels.shape[0], turn)
    return shown if max(shown.width, shown.height) >= _USEFUL else None


def _sized(shown: Decoded, sensor: tuple[int, int], turn: int) -> Decoded:
    """Give the picture the size of the sensor's, in the way in which its own pixels lie.

    A preview that stands upright while the sensor lies on its side was turned by the camera.
    """
    width, height = sensor
    if (width > height) != (shown.width > shown.height) and shown.width != shown.height:
        width, height = upright_size(width, height, 6)
        turn = 1
    else:
        turn = shown.orientation
    return Decoded(shown.pixels, width, height, turn, shown.icc)
