"""What is measured on a picture's pixels."""

from base64 import b64encode

import cv2
import numpy as np

from gallery.ml_worker.domain import Measures
from gallery.ml_worker.media.hashes import dhash, phash
from gallery.ml_worker.media.source import Pixels
from gallery.ml_worker.media.thumbhash import thumbhash

_BLACK, _WHITE = 4, 251
"""At and beyond these luma values a pixel shows nothing any more."""


def measure(pixels: Pixels, thumbnail: Pixels) -> Measures:
    """Measure sharpness and exposure on the preview, hashes on the thumbnail; both BGR."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    small = cv2.cvtColor(thumbnail, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel()
    shares = counts / counts.sum()
    return Measures(
        sharpness=float(deviation[0, 0] ** 2),
        brightness=float(shares @ np.arange(256)) / 255,
        clipped_dark=float(shares[: _BLACK + 1].sum()),
        clipped_bright=float(shares[_WHITE:].sum()),
        phash=phash(small),
        dhash=dhash(small),
        thumbhash=b64encode(thumbhash(thumbnail)).decode(),
    )
