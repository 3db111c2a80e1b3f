"""The formats that Pillow decodes: PNG, WebP, AVIF, GIF, TIFF, BMP, and JPEG in CMYK."""

import io

import numpy as np
from PIL import AvifImagePlugin, Image, ImageCms, ImageFile, TiffImagePlugin, UnidentifiedImageError

from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.orientation import orientation
from gallery.ml_worker.media.source import LONG_EDGE, Decoded, PixelBudget, Pixels

# The budget is ours and checked from the header; Pillow's own limit is lower than what phones take.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
# One picture per process: threads would only add stacks to its memory.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

_DEEP = {"I": 65535.0, "I;16": 65535.0, "I;16B": 65535.0, "I;16L": 65535.0, "I;16N": 65535.0, "F": 1.0}
_LOST = ("truncated", "not enough", "unexpected end", "buffer underrun", "not enough data")


def decode_with_pillow(content: bytes, budget: PixelBudget) -> Decoded:
    """Decode the first frame or page, eight bits a channel, transparency over white.

    Raises:
        RejectedError: ``truncated``, ``undecodable``, ``too_many_pixels``.
    """
    if content[8:12] == b"WEBP":
        budget.check(*_webp_size(content))
    try:
        with Image.open(io.BytesIO(content)) as image:
            budget.check(*image.size)
            width, height = image.size
            turn = _orientation(image)
            image.draft(None, (LONG_EDGE, LONG_EDGE))
            image.load()
            icc = image.info.get("icc_profile")
            pixels, used = _pixels(image, icc)
    except (RejectedError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise RejectedError("undecodable", "its content is not what its first bytes say") from error
    except Exception as error:  # Pillow raises whatever a broken file makes it stumble over
        code = "truncated" if any(word in str(error).lower() for word in _LOST) else "undecodable"
        raise RejectedError(code, "the decoder gave up on it") from error
    return Decoded(pixels, width, height, turn, None if used else icc)


def _webp_size(content: bytes) -> tuple[int, int]:
    """Width and height of a WebP file, whose decoder asks for all its memory as soon as it is opened (RFC 9649)."""
    kind = content[12:16]
    if kind == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    bits = int.from_bytes(content[26:30], "little")
    return bits & 0x3FFF, bits >> 16 & 0x3FFF


def _orientation(image: Image.Image) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1  # Pillow turns TIFF while it loads, and its size is the upright one already
    exif = image.info.get("exif")
    return orientation(exif) if isinstance(exif, bytes) else 1


def _pixels(image: Image.Image, icc: bytes | None) -> tuple[Pixels, bool]:
    """Bring any mode to BGR; True when the colour profile has done its work."""
    if image.mode in _DEEP:
        return _from_deep(image), True
    if image.mode == "CMYK":
        image.thumbnail((LONG_EDGE, LONG_EDGE), Image.Resampling.BILINEAR, reducing_gap=2.0)
        return _bgr(_from_cmyk(image, icc)), True
    seen = image.convert("RGBA") if image.has_transparency_data else image
    if seen.mode not in {"RGB", "RGBA", "L"}:
        seen = seen.convert("RGB")
    seen.thumbnail((LONG_EDGE, LONG_EDGE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if seen.mode == "RGBA":
        white = Image.new("RGBA", seen.size, "white")
        seen = Image.alpha_composite(white, seen)
    return _bgr(seen), False


def _bgr(image: Image.Image) -> Pixels:
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])


def _from_deep(image: Image.Image) -> Pixels:
    """Grey of 16 or 32 bits or real numbers: scaled, where Pillow would cut off."""
    values = np.asarray(image, np.float32)
    top = _DEEP[image.mode]
    grey = np.clip(np.nan_to_num(values) * (255.0 / top), 0, 255).astype(np.uint8)
    return _bgr(Image.fromarray(grey))


def _from_cmyk(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Inks to light by the file's profile; without one by plain subtraction."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            turned = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            return image.convert("RGB")
        if turned is not None:
            return turned
    return image.convert("RGB")
