"""Where each container keeps its EXIF and XMP.

Sources: JPEG APP1 (CIPA DC-008 4.7.2, XMP specification part 3), PNG ``eXIf`` and ``iTXt`` (PNG third edition 11.3),
WebP ``EXIF`` and ``XMP `` chunks (RFC 9649 2.7), TIFF and the RAW formats built on it (TIFF 6.0; tag 700 is XMP).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from gallery.metadata.header import boxes

EXIF_MARK = b"Exif\x00"
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\x00"
PNG_MARK = b"\x89PNG\r\n\x1a\n"
PNG_XMP = b"XML:com.adobe.xmp"
TIFF_MARKS = (b"II*\x00", b"MM\x00*")
# Olympus and Panasonic RAW are TIFF under another mark: IIRO, IIRS, MMOR, IIU.
TIFF_COUSINS = {b"IIRO": b"II*\x00", b"IIRS": b"II*\x00", b"MMOR": b"MM\x00*", b"IIU\x00": b"II*\x00"}
# An XMP packet is some kilobytes; one of megabytes carries thumbnails or an attack.
LARGEST_XMP = 2 * 1024 * 1024
_STANDALONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN = 0xDA
_APP1 = 0xE1


@dataclass(frozen=True, slots=True)
class Blocks:
    """The two blocks of a file; empty when it has none.

    Attributes:
        exif: A whole TIFF structure, its mark first.
        xmp: An XML packet.
        broken: The container ended or contradicted itself before its end.
    """

    exif: bytes = b""
    xmp: bytes = b""
    broken: bool = False


def find(data: bytes) -> Blocks:
    """Find the blocks of a file by its content; a file of another kind has none."""
    try:
        return _find(data)
    except (struct.error, ValueError, IndexError, zlib.error):
        return Blocks(broken=True)


def _find(data: bytes) -> Blocks:
    if data[:2] == b"\xff\xd8":
        return _first_of_each(_jpeg(data))
    if data[:8] == PNG_MARK:
        return _first_of_each(_png(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _first_of_each(_webp(data))
    if data[:16] == b"FUJIFILMCCD-RAW ":
        start, length = struct.unpack_from(">II", data, 84)
        return _first_of_each(_jpeg(data[start : start + length]))
    if data[4:8] == b"ftyp":
        exif, xmp = boxes.still_image(data)
        return Blocks(exif=_tiff(exif), xmp=xmp[:LARGEST_XMP])
    return Blocks(exif=_tiff(data))


def _first_of_each(parts: Iterator[tuple[str, bytes]]) -> Blocks:
    """Keep what was found before the container broke."""
    found: dict[str, bytes] = {}
    try:
        for kind, content in parts:
            found.setdefault(kind, content)
    except (struct.error, ValueError, IndexError, zlib.error):
        return Blocks(exif=found.get("exif", b""), xmp=found.get("xmp", b""), broken=True)
    return Blocks(exif=found.get("exif", b""), xmp=found.get("xmp", b""))


def _tiff(data: bytes) -> bytes:
    """Cut to where the TIFF structure starts; some writers repeat the JPEG mark before it."""
    if data[:4] in TIFF_COUSINS:
        return TIFF_COUSINS[data[:4]] + data[4:]
    if data[:4] in TIFF_MARKS:
        return data
    if data.startswith(EXIF_MARK):
        return _tiff(data[6:])
    return b""


def _jpeg(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Walk segments up to the first scan; padding and stray bytes between segments are passed over."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:  # noqa: PLR2004 - the marker byte
            at = data.index(b"\xff", at)
            continue
        marker = data[at + 1]
        if marker in {0x00, 0xFF} or marker in _STANDALONE_MARKERS:
            at += 1 if marker in {0x00, 0xFF} else 2
            continue
        if marker == _START_OF_SCAN:
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker == _APP1:
            yield from _app1(data[at + 4 : at + 2 + length])
        at += 2 + max(length, 2)


def _app1(content: bytes) -> Iterator[tuple[str, bytes]]:
    if content.startswith(EXIF_MARK) and (exif := _tiff(content)):
        yield "exif", exif
    elif content.startswith(XMP_MARK):
        yield "xmp", content[len(XMP_MARK) :]


def _png(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        if kind == b"eXIf":
            yield "exif", _tiff(content)
        elif kind == b"iTXt" and content.startswith(PNG_XMP + b"\x00"):
            yield "xmp", _international_text(content)
        at += 12 + length


def _international_text(content: bytes) -> bytes:
    """Text of an iTXt chunk: keyword, compression flag and method, language, translated keyword, text."""
    head, flags = content.index(b"\x00"), content[content.index(b"\x00") + 1 :]
    rest = content[head + 3 :].split(b"\x00", 2)[2]
    if flags[0] == 0:
        return rest[:LARGEST_XMP]
    return zlib.decompressobj().decompress(rest, LARGEST_XMP)


def _webp(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length]
        if kind == b"EXIF":
            yield "exif", _tiff(content)
        elif kind == b"XMP ":
            yield "xmp", content[:LARGEST_XMP]
        at += 8 + length + length % 2
