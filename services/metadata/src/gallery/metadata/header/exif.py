"""EXIF tags of a TIFF block, by exifread, kept even when the block breaks off in the middle.

``exifread.process_file`` answers all or nothing; its reader of one directory at a time keeps what it had when a
directory turns out broken, so the directories are walked here: the first image, its Exif directory, and GPS within it.
"""

import io
import logging
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from exifread.core.exif_header import ExifHeader

_XMP_TAG = 700
_ENTRY = 12
_UNCHANGED = 1
_ORIENTATIONS = range(1, 9)
_TYPE_BYTES = {1, 7}
_LARGEST_XMP = 2 * 1024 * 1024
_FLASH_FIRED = 1

logging.getLogger("exifread").setLevel(logging.CRITICAL)  # its warnings are about the file, not about us


@dataclass(frozen=True, slots=True)
class Tags:
    """Values under their ``directory name``, and whether something could not be read."""

    values: dict[str, Any]
    broken: bool

    def text(self, *names: str) -> str | None:
        """The first of these that holds printable text, blanks trimmed."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, bytes):
                value = value.decode("latin-1")
            if isinstance(value, str) and (tidy := " ".join(value.replace("\x00", " ").split())):
                return tidy[:200] if tidy.isprintable() else None
        return None

    def numbers(self, name: str) -> list[float]:
        """Values as floats; a rational with a zero denominator is NaN."""
        value = self.values.get(name)
        if not isinstance(value, list):
            return []
        return [_number(each) for each in value]

    def number(self, *names: str) -> float | None:
        """The first finite value of the first of these tags that has one."""
        for name in names:
            value = next(iter(self.numbers(name)), math.nan)
            if math.isfinite(value):
                return value
        return None


def _number(value: Any) -> float:
    if isinstance(value, tuple) and value:
        value = value[0]
    try:
        return float(value)
    except (ZeroDivisionError, TypeError, ValueError, OverflowError):
        return math.nan


def read(block: bytes) -> Tags:
    """Read the tags that say something of the photo; a block that is no TIFF has none."""
    if len(block) < 8:  # noqa: PLR2004 - the TIFF head
        return Tags(values={}, broken=bool(block))
    header = ExifHeader(io.BytesIO(block), "I" if block[:1] == b"I" else "M", 0, 0, strict=False, detailed=False)
    broken = not _attempt(lambda: header.dump_ifd(ifd=header.s2n(4, 4), ifd_name="Image"))
    exif = header.tags.get("Image ExifOffset")
    if exif is not None and exif.values:
        broken |= not _attempt(lambda: header.dump_ifd(ifd=exif.values[0], ifd_name="EXIF"))
    return Tags(values={name: tag.values for name, tag in header.tags.items()}, broken=broken)


def _attempt(step: Callable[[], None]) -> bool:
    """Tell whether a directory could be read to its end; exifread raises all kinds of errors."""
    try:
        step()
    except Exception:  # noqa: BLE001 - any error means the same here: the directory is broken from this entry on
        return False
    return True


def xmp_of(block: bytes) -> bytes:
    """The XMP packet that a TIFF file keeps in tag 700 of its first directory; empty when there is none."""
    try:
        return next(_xmp_values(block), b"")
    except struct.error:
        return b""


def _xmp_values(block: bytes) -> Iterator[bytes]:
    order = "<" if block[:1] == b"I" else ">"
    (start,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    for at in range(start + 2, start + 2 + _ENTRY * count, _ENTRY):
        tag, kind, length, offset = struct.unpack_from(order + "HHII", block, at)
        if tag == _XMP_TAG and kind in _TYPE_BYTES:
            yield block[offset : offset + min(length, _LARGEST_XMP)]


def camera(tags: Tags) -> str | None:
    """Make and model as people say them: ``NIKON CORPORATION`` + ``NIKON D70`` is ``Nikon D70``."""
    return camera_name(tags.text("Image Make"), tags.text("Image Model", "EXIF UniqueCameraModel"))


def camera_name(make: str | None, model: str | None) -> str | None:
    """Join make and model without saying the make twice."""
    if make is None or model is None:
        return model or (_brand(make) if make else None)
    first = make.split()[0]
    if model.casefold().startswith(first.casefold()):
        return f"{_brand(first)}{model[len(first) :]}"
    return f"{_brand(make)} {model}"


_COMPANY = {"corporation", "corp", "co", "ltd", "inc", "company", "optical", "imaging", "camera", "electric"}


def _brand(make: str) -> str:
    words = [word for word in make.replace(",", " ").replace(".", " ").split() if word.casefold() not in _COMPANY]
    named = words or make.split()
    return " ".join(word.capitalize() if word.isupper() and len(word) > 3 else word for word in named)  # noqa: PLR2004


def lens(tags: Tags) -> str | None:
    """Model of the lens, its make before it when the model does not name it."""
    make, model = tags.text("EXIF LensMake"), tags.text("EXIF LensModel")
    if model is None or set(model) <= set("-. "):
        return None
    return model if make is None or make.casefold() in model.casefold() else camera_name(make, model)


def exposure(tags: Tags) -> dict[str, float | bool]:
    """Give ``seconds``, ``f``, ``iso``, ``focal_mm``, ``focal_35mm``, ``bias_ev``, ``flash``; no unknown ones."""
    found: dict[str, float | bool | None] = {
        "seconds": _positive(tags.number("EXIF ExposureTime")),
        "f": _positive(tags.number("EXIF FNumber")),
        "iso": _positive(tags.number("EXIF ISOSpeedRatings", "EXIF PhotographicSensitivity", "EXIF ISOSpeed")),
        "focal_mm": _positive(tags.number("EXIF FocalLength")),
        "focal_35mm": _positive(tags.number("EXIF FocalLengthIn35mmFilm")),
        "bias_ev": tags.number("EXIF ExposureBiasValue"),
        "flash": None if (flash := tags.number("EXIF Flash")) is None else bool(int(flash) & _FLASH_FIRED),
    }
    return {name: value for name, value in found.items() if value is not None}


def _positive(value: float | None) -> float | None:
    return round(value, 9) if value is not None and 0 < value < 1e9 else None  # noqa: PLR2004 - sanity, not a limit


def orientation(tags: Tags) -> int:
    """1 to 8 as in EXIF; 1 when it says nothing or nonsense."""
    value = tags.number("Image Orientation")
    return int(value) if value is not None and value in _ORIENTATIONS else _UNCHANGED
