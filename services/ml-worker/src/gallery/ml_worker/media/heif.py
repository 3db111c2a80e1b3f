"""HEIC and HEIF, by libheif, which turns and mirrors as the file's own properties ask.

These properties rule and the EXIF orientation says nothing (ISO/IEC 23008-12, 6.5.10), except in files that have none:
the first iPhones to write HEIC left turning to EXIF.
"""

import cv2
import numpy as np
import pi_heif

from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.orientation import orientation
from gallery.ml_worker.media.resize import fit
from gallery.ml_worker.media.source import LONG_EDGE, Decoded, PixelBudget

# One picture per process: threads would only add stacks to its memory.
pi_heif.options.DECODE_THREADS = 1

_TO_BGR = {"RGB": cv2.COLOR_RGB2BGR, "L": cv2.COLOR_GRAY2BGR}


def decode_heif(content: bytes, budget: PixelBudget) -> Decoded:
    """Decode the primary picture.

    Raises:
        RejectedError: ``undecodable`` or ``too_many_pixels``.
    """
    try:
        picture = pi_heif.open_heif(content, convert_hdr_to_8bit=True, bgr_mode=False)
        width, height = picture.size
        budget.check(width, height)
        mode, profile = picture.mode, picture.info.get("icc_profile")
        turn = 1 if _turns_itself(content) else orientation(picture.info.get("exif") or b"")
        small = fit(np.asarray(picture), LONG_EDGE)
    except (RejectedError, MemoryError):
        raise
    except Exception as error:  # ValueError, RuntimeError, EOFError and others, by kind of damage
        raise RejectedError("undecodable", "the HEIF decoder gave up on it") from error
    if mode.startswith(("RGBA", "RGBa")):
        alpha = small[..., 3:].astype(np.uint16)
        small = ((small[..., :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
        mode = "RGB"
    bgr = cv2.cvtColor(small, _TO_BGR.get(mode, cv2.COLOR_RGB2BGR))
    return Decoded(bgr, width, height, turn, profile)  # type: ignore[arg-type]


def _turns_itself(content: bytes) -> bool:
    """Whether the file has a rotation or mirror property; they stand in the box behind the first one."""
    start = int.from_bytes(content[:4])
    properties = content[start : start + int.from_bytes(content[start : start + 4])]
    return b"irot" in properties or b"imir" in properties
