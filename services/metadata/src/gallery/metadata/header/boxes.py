"""Boxes of the ISO base media format: HEIC, AVIF, MP4, MOV.

Sources: ISO/IEC 14496-12 (boxes, ``mvhd``, ``iloc``, ``iinf``), ISO/IEC 23008-12 annex A (``Exif`` items),
Apple's QuickTime File Format specification (``keys``, ``ilst``, ``udta``).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MOST_BOXES = 10_000
_WHOLE_SIZE = 8
_LONG_SIZE = 16
_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_LONG_VERSION = 1
_XMP_TYPE = b"application/rdf+xml"
APPLE_CREATED = b"com.apple.quicktime.creationdate"
APPLE_PLACE = b"com.apple.quicktime.location.ISO6709"
APPLE_MAKE = b"com.apple.quicktime.make"
APPLE_MODEL = b"com.apple.quicktime.model"
_USER_DATA = {b"\xa9day": APPLE_CREATED, b"\xa9xyz": APPLE_PLACE, b"\xa9mak": APPLE_MAKE, b"\xa9mod": APPLE_MODEL}


@dataclass(frozen=True, slots=True)
class Film:
    """What a film says of itself.

    Attributes:
        created: UTC by the specification; many cameras write their local time all the same.
        texts: Values under their Apple key.
        seconds: Length.
    """

    created: datetime | None
    texts: dict[bytes, str]
    seconds: float | None


def walk(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Go over the boxes of one level: type, start and end of the content. Ends at the first that cannot be."""
    at, stop = start, len(data) if end is None else min(end, len(data))
    for _ in range(MOST_BOXES):
        if at + _WHOLE_SIZE > stop:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        head = _WHOLE_SIZE
        if size == 1 and at + _LONG_SIZE <= stop:
            (size,) = struct.unpack_from(">Q", data, at + _WHOLE_SIZE)
            head = _LONG_SIZE
        if size == 0:
            size = stop - at
        if size < head:
            return
        yield kind, at + head, min(at + size, stop)
        at += size


def _child(data: bytes, span: tuple[int, int], *path: bytes) -> tuple[int, int] | None:
    """Descend by type; a QuickTime file may hold several ``meta``, the first is taken."""
    for name in path:
        found = next(((s, e) for kind, s, e in walk(data, *span) if kind == name), None)
        if found is None:
            return None
        span = found
    return span


def still_image(data: bytes) -> tuple[bytes, bytes]:
    """Give the Exif block, from its TIFF mark on, and the XMP packet of a HEIC, HEIF or AVIF file."""
    meta = _child(data, (0, len(data)), b"meta")
    if meta is None:
        return b"", b""
    inside = (meta[0] + 4, meta[1])
    places = _locations(data, inside)
    exif = xmp = b""
    for item, kind, content_type in _items(data, inside):
        if kind == b"Exif" and not exif:
            exif = _exif_item(places.get(item, b""))
        elif kind == b"mime" and content_type == _XMP_TYPE and not xmp:
            xmp = places.get(item, b"")
    return exif, xmp


def _exif_item(content: bytes) -> bytes:
    """Pass over the offset field and whatever stands before the TIFF mark."""
    if len(content) < _WHOLE_SIZE:
        return b""
    (offset,) = struct.unpack_from(">I", content)
    for start in (4 + offset, 4):
        if content[start : start + 4] in {b"II*\x00", b"MM\x00*"}:
            return content[start:]
    return b""


def _items(data: bytes, span: tuple[int, int]) -> Iterator[tuple[int, bytes, bytes]]:
    """Item id, type, and content type of each ``infe`` of version 2 or 3."""
    infos = _child(data, span, b"iinf")
    if infos is None:
        return
    head = 6 if data[infos[0]] == 0 else 8
    for kind, start, end in walk(data, infos[0] + head, infos[1]):
        version = data[start]
        if kind != b"infe" or version not in {2, 3}:
            continue
        item, kind_at = (
            (struct.unpack_from(">H", data, start + 4)[0], start + 8)
            if version == 2  # noqa: PLR2004
            else (struct.unpack_from(">I", data, start + 4)[0], start + 10)
        )
        names = data[kind_at + 4 : end].split(b"\x00")
        yield item, data[kind_at : kind_at + 4], names[1] if len(names) > 1 else b""


def _locations(data: bytes, span: tuple[int, int]) -> dict[int, bytes]:
    """Content of each item, extents joined."""
    iloc = _child(data, span, b"iloc")
    if iloc is None:
        return {}
    reader = _Reader(data, iloc[0])
    version = reader.number(1)
    reader.number(3)
    sizes = reader.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    wide = 2 if version < 2 else 4  # noqa: PLR2004
    store = _child(data, span, b"idat")
    found = {}
    for _ in range(min(reader.number(wide), MOST_BOXES)):
        item = reader.number(wide)
        method = reader.number(2) & 15 if version else 0
        reader.number(2)
        start = reader.number(base_size) + (store[0] if method == 1 and store else 0)
        found[item] = b"".join(_extents(reader, start, (index_size, offset_size, length_size)))
    return found


def _extents(reader: "_Reader", start: int, sizes: tuple[int, int, int]) -> Iterator[bytes]:
    for _ in range(min(reader.number(2), 64)):
        reader.number(sizes[0])
        offset = start + reader.number(sizes[1])
        yield reader.data[offset : offset + min(reader.number(sizes[2]), 64 * 1024 * 1024)]


@dataclass(slots=True)
class _Reader:
    """Big-endian numbers, one after the other."""

    data: bytes
    at: int

    def number(self, size: int) -> int:
        if self.at + size > len(self.data):
            raise ValueError("box ends early")
        value = int.from_bytes(self.data[self.at : self.at + size], "big")
        self.at += size
        return value


def film(data: bytes) -> Film:
    """Read a ``moov`` box, or a file that holds one."""
    moov = _child(data, (0, len(data)), b"moov")
    if moov is None:
        return Film(created=None, texts={}, seconds=None)
    created, seconds = _movie_header(data, moov)
    return Film(created=created, texts=_user_data(data, moov) | _keyed(data, moov), seconds=seconds)


def _movie_header(data: bytes, moov: tuple[int, int]) -> tuple[datetime | None, float | None]:
    span = _child(data, moov, b"mvhd")
    if span is None:
        return None, None
    reader = _Reader(data, span[0])
    size = 8 if reader.number(1) == _LONG_VERSION else 4
    reader.number(3)
    created, _, scale, length = (reader.number(n) for n in (size, size, 4, size))
    seconds = length / scale if scale and length < (1 << 8 * size) - 1 else None
    try:
        return (_EPOCH + timedelta(seconds=created) if created else None), seconds
    except OverflowError:
        return None, seconds


def _user_data(data: bytes, moov: tuple[int, int]) -> dict[bytes, str]:
    """International texts of ``udta``: two bytes of length, two of language, the text."""
    span = _child(data, moov, b"udta")
    if span is None:
        return {}
    found = {}
    for kind, start, end in walk(data, *span):
        if kind in _USER_DATA and end - start > 4:  # noqa: PLR2004
            length = int.from_bytes(data[start : start + 2], "big")
            found[_USER_DATA[kind]] = data[start + 4 : min(start + 4 + length, end)].decode(errors="replace")
    return found


def _keyed(data: bytes, moov: tuple[int, int]) -> dict[bytes, str]:
    """Apple's ``meta``: names in ``keys``, values in ``ilst`` under their one-based number."""
    meta = _child(data, moov, b"meta")
    keys, values = (_child(data, meta, name) if meta else None for name in (b"keys", b"ilst"))
    if keys is None or values is None:
        return {}
    names = [data[start:end] for _, start, end in walk(data, keys[0] + 8, keys[1])]
    found = {}
    for kind, start, end in walk(data, *values):
        number = int.from_bytes(kind, "big")
        value = _child(data, (start, end), b"data")
        if value and 0 < number <= len(names):
            found[names[number - 1]] = data[value[0] + 8 : value[1]].decode(errors="replace")
    return found
