"""Every picture in sRGB, whatever the camera's colours were."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from gallery.ml_worker.media.source import Pixels

_PLAIN = ("srgb", "c2ci", "c2")
"""Profiles whose description begins so describe sRGB itself."""

_SPACE = slice(16, 20)  # where a profile names its colour space (ICC.1:2010, 7.2.6)


def to_srgb(pixels: Pixels, icc: bytes | None) -> Pixels:
    """Convert BGR pixels by their profile; without one, or with a broken one, they are taken for sRGB."""
    if not icc or icc[_SPACE] != b"RGB ":
        return pixels
    transform = _transform(icc)
    if transform is None:
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
    ImageCms.applyTransform(image, transform, inPlace=True)
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])


@lru_cache(maxsize=8)
def _transform(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    """Build the way to sRGB; None when there is nothing to do. Photos of one camera share theirs."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if ImageCms.getProfileDescription(profile).strip().lower().startswith(_PLAIN):
            return None
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
