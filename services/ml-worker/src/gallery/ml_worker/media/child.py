"""What runs in the jailed child: untrusted bytes in, pictures and numbers out."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import cv2

from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.decoding import decode
from gallery.ml_worker.media.renditions import derive
from gallery.ml_worker.media.source import PixelBudget
from gallery.runtime.frames import ChildRefusal

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

cv2.setNumThreads(1)


def render(header: dict[str, Any], blobs: list[memoryview]) -> tuple[dict[str, Any], Sequence["ReadableBuffer"]]:
    """Decode and derive.

    Args:
        header: ``size`` of the file in bytes, ``max_pixels``.
        blobs: The first bytes of the file (all, unless it is a long video), and its last ones.

    Returns:
        Size of the upright original, measures, the picture's shape, seconds of the processor; then preview, thumbnail,
        and the picture (RGB).

    Raises:
        ChildRefusal: With the code of the rejection.
    """
    began = time.process_time()
    head, tail = (bytes(blob) for blob in blobs)
    try:
        done = derive(decode(head, tail, header["size"], PixelBudget(header["max_pixels"])))
    except RejectedError as error:
        raise ChildRefusal(error.code, str(error)) from error
    facts = {"width": done.width, "height": done.height, "shape": done.picture.shape, "measures": asdict(done.measures)}
    facts["cpu_seconds"] = time.process_time() - began
    return facts, [done.preview, done.thumbnail, done.picture.data]
