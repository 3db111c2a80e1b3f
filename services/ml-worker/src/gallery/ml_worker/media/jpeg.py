"""JPEG, decoded at the smallest scale that is large enough: the discrete cosine transform gives halves for free."""

import cv2
import numpy as np

from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.jpeg_header import JpegHeader, read_jpeg_header
from gallery.ml_worker.media.pillow import decode_with_pillow
from gallery.ml_worker.media.source import LONG_EDGE, Decoded, PixelBudget, Pixels

MAX_SCANS = 100
"""Encoders write about ten; each costs a pass over the whole picture, and 64 KiB can hold ten thousand."""

_CMYK = 4
_SAMPLE_BITS = 8
_SCALES = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
_MISSING_ROWS = 0.02
"""A picture may lack this share of its rows and still be shown: the end of a file is what gets lost."""


def decode_jpeg(content: bytes, budget: PixelBudget) -> Decoded:
    """Decode a JPEG file.

    Damage that libjpeg steps over (a wrong restart marker, garbage between segments) is stepped over.

    Raises:
        RejectedError: ``truncated``, ``undecodable``, ``too_many_pixels``, ``too_many_scans``.
    """
    header = read_jpeg_header(content)
    budget.check(header.width, header.height)
    if header.scans > MAX_SCANS:
        raise RejectedError("too_many_scans", f"{header.scans} progressive scans are more than {MAX_SCANS}")
    if header.precision != _SAMPLE_BITS:
        raise RejectedError("undecodable", f"{header.precision} bits a sample are not supported in JPEG")
    if header.components == _CMYK:
        return decode_with_pillow(content, budget)
    pixels = _decode(content, header)
    return Decoded(pixels, header.width, header.height, header.orientation, header.icc)


def _decode(content: bytes, header: JpegHeader) -> Pixels:
    flags = next((flag for scale, flag in _SCALES if max(header.width, header.height) >= scale * LONG_EDGE), None)
    whole = content if header.ended else content + b"\xff\xd9"
    if not header.ended and header.progressive:
        raise RejectedError("truncated", "the file ends before the last scan of its picture")
    raw = np.frombuffer(whole, np.uint8)
    chosen = cv2.IMREAD_COLOR if flags is None else flags
    try:
        pixels: Pixels | None = cv2.imdecode(raw, chosen | cv2.IMREAD_IGNORE_ORIENTATION)  # type: ignore[assignment]
    except cv2.error as error:
        raise RejectedError("undecodable", "the JPEG decoder gave up") from error
    if pixels is None:
        raise RejectedError("undecodable", "the JPEG decoder could make nothing of it")
    if not header.ended and _missing(pixels):
        raise RejectedError("truncated", "the file ends in the middle of its picture")
    return pixels


def _missing(pixels: Pixels) -> bool:
    """Whether more of the lower rows are plain grey, as libjpeg fills what it lacks, than can be overlooked."""
    grey = np.abs(pixels.astype(np.int16) - 128).max(axis=(1, 2)) <= 2  # noqa: PLR2004  # rounding of the colour space
    seen = np.flatnonzero(~grey)
    last = int(seen[-1]) + 1 if seen.size else 0
    return bool(last < pixels.shape[0] * (1 - _MISSING_ROWS))
