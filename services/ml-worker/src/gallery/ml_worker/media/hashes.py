"""Hashes by which pictures that look alike are found: near pictures differ in few bits."""

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

_SIDE, _KEPT = 32, 8


def phash(grey: Grey) -> int:
    """64 bits: which of the 8 by 8 lowest frequencies of the picture at 32 px lie above their median.

    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section 3.2.1. The
    constant term is left out of the median, which it would only disturb.
    """
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_KEPT, :_KEPT].ravel()
    return _bits(low > np.median(low[1:]))


def dhash(grey: Grey) -> int:
    """64 bits: whether each of 8 by 8 pixels is darker than its right neighbour, at 9 by 8 px."""
    small = cv2.resize(grey, (_KEPT + 1, _KEPT), interpolation=cv2.INTER_AREA)
    return _bits((small[:, :-1] < small[:, 1:]).ravel())


def _bits(flags: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(flags).tobytes())
