"""Pictures made for tests, and ways to look at what became of them."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gallery.ml_worker.domain import Picture, Rendering
from gallery.ml_worker.media.decoding import decode
from gallery.ml_worker.media.renditions import derive
from gallery.ml_worker.media.source import PixelBudget

MAX_PIXELS = 200_000_000


def read_picture(path: Path) -> Picture:
    """An upright RGB picture from a file, as the models are shown it."""
    found = cv2.imread(str(path))
    assert found is not None, f"{path} is no picture"
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def render(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Rendering:
    """What the jailed child does, here."""
    return derive(decode(content, b"", len(content), PixelBudget(max_pixels)))


def quarters(width: int = 640, height: int = 480) -> Image.Image:
    """Red, green, blue and yellow quarters: any turn or mirroring shows."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = 220, 20, 20
    picture[: height // 2, width // 2 :] = 20, 200, 20
    picture[height // 2 :, : width // 2] = 20, 20, 220
    picture[height // 2 :, width // 2 :] = 220, 220, 20
    return Image.fromarray(picture)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    packed = io.BytesIO()
    image.save(packed, form, **options)
    return packed.getvalue()


def shown(jpeg: bytes, *, width: int, height: int) -> NDArray[np.int16]:
    """A rendition as RGB numbers, at a size at which pictures can be compared."""
    with Image.open(io.BytesIO(jpeg)) as image:
        small = cv2.resize(np.asarray(image.convert("RGB")), (width, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.int16)


def distance(one: bytes, other: bytes) -> float:
    """Mean difference of two renditions, 0 to 255."""
    return float(np.abs(shown(one, width=32, height=32) - shown(other, width=32, height=32)).mean())
