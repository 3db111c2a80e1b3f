"""What kind of file some bytes are, by their content and never by their name.

The list is what we accept; everything else is refused. A file that is valid as two types (a polyglot) is what its first
bytes say, and only the decoder of that type will ever see it.
"""

import struct
from collections.abc import Iterator
from enum import Enum, StrEnum

HEAD = 4096
"""Bytes from the start of a file that ``detect`` can make use of; fewer are fine when the file is shorter."""


class Kind(StrEnum):
    """How a file of this type is turned into a picture."""

    IMAGE = "image"
    VIDEO = "video"
    RAW = "raw"


class MediaType(Enum):
    """A type that is accepted; the value is its MIME name."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    HEIF = "image/heif"
    HEIC = "image/heic"
    AVIF = "image/avif"
    GIF = "image/gif"
    TIFF = "image/tiff"
    BMP = "image/bmp"
    MP4 = "video/mp4"
    MOV = "video/quicktime"
    WEBM = "video/webm"
    DNG = "image/x-adobe-dng"
    CR2 = "image/x-canon-cr2"
    CR3 = "image/x-canon-cr3"
    NEF = "image/x-nikon-nef"
    ARW = "image/x-sony-arw"
    PEF = "image/x-pentax-pef"
    ORF = "image/x-olympus-orf"
    RW2 = "image/x-panasonic-rw2"
    RAF = "image/x-fuji-raf"
    RAW = "image/x-raw"

    @property
    def mime(self) -> str:
        """Such as ``image/jpeg``."""
        return self.value

    @property
    def kind(self) -> Kind:
        """Whether it is a picture, a video, or a sensor's data."""
        if self.value.startswith("video/"):
            return Kind.VIDEO
        return Kind.RAW if self.value.startswith("image/x-") else Kind.IMAGE


def detect(head: bytes) -> MediaType | None:
    """Tell the type of a file from its first bytes, at most ``HEAD`` of them; None when it is not one we accept."""
    for prefix, found in _PREFIXES:
        if head.startswith(prefix):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return MediaType.WEBP
    if head[:2] == b"BM":
        return MediaType.BMP if _is_bitmap(head) else None
    if head[:4] in _TIFF_MARKS:
        return _tiff(head[:HEAD])
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return MediaType.WEBM if b"\x42\x82\x84webm" in head[:HEAD] else None
    return _boxed(head)


def refused_name(head: bytes) -> str | None:
    """Name a picture format that is known and not accepted, for a better sentence in the refusal."""
    return next((name for prefix, name in _REFUSED if head.startswith(prefix)), None)


_PREFIXES = (
    (b"\xff\xd8\xff", MediaType.JPEG),
    (b"\x89PNG\r\n\x1a\n", MediaType.PNG),
    (b"GIF87a", MediaType.GIF),
    (b"GIF89a", MediaType.GIF),
    (b"FUJIFILMCCD-RAW", MediaType.RAF),
    (b"IIRO", MediaType.ORF),
    (b"IIRS", MediaType.ORF),
    (b"MMOR", MediaType.ORF),
    (b"IIU\x00", MediaType.RW2),
)
_REFUSED = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_TIFF_MARKS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

# Sizes of the header that follows the 14 bytes of a bitmap's file header, one per version of the format.
_BITMAP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def _is_bitmap(head: bytes) -> bool:
    return int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS


# Brands of ISO base media files (ISO/IEC 14496-12; the registry is mp4ra.org). First match of these groups, in this
# order, over all brands of the file: a picture in AVIF says ``mif1`` too, and a sequence of pictures says ``isom`` too.
_BRANDS = (
    (frozenset({b"crx "}), MediaType.CR3),
    (frozenset({b"avif", b"avis"}), MediaType.AVIF),
    (frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}), MediaType.HEIC),
    (frozenset({b"mif1", b"msf1", b"mif2"}), MediaType.HEIF),
)
_MP4_BRANDS = (
    b"mp4",
    b"iso",
    b"avc1",
    b"M4V",
    b"M4VP",
    b"MSNV",
    b"3gp",
    b"3g2",
    b"dash",
    b"hvc1",
    b"f4v ",
    b"mmp4",
    b"XAVC",
)
# What QuickTime files from before brands begin with.
_QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def _boxed(head: bytes) -> MediaType | None:
    if head[4:8] in _QUICKTIME_BOXES:
        return MediaType.MOV
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4]), len(head), HEAD)
    major = head[8:12]
    brands = [major, *(head[at : at + 4] for at in range(16, end - 3, 4))]
    if major == b"qt  ":
        return MediaType.MOV
    if major[:3] == b"M4A":
        return None
    for names, found in _BRANDS:
        if names.intersection(brands):
            return found
    return MediaType.MP4 if any(brand.startswith(_MP4_BRANDS) for brand in brands) else None


_MAKE, _COMPRESSION, _PHOTOMETRIC, _NEW_SUBFILE, _SUB_IFDS, _DNG_VERSION = 271, 259, 262, 254, 330, 50706
_SENSOR_PHOTOMETRIC = frozenset({32803, 34892})  # colour filter array, linear raw
_SENSOR_COMPRESSION = frozenset({32767, 34713, 65535})  # Sony, Nikon, Pentax
# Field types, and the bytes a value may have to stand in its entry (TIFF 6.0, section 2).
_TEXT, _SHORT, _INLINE = 2, 3, 4
_MAKERS = (
    (b"NIKON", MediaType.NEF),
    (b"SONY", MediaType.ARW),
    (b"PENTAX", MediaType.PEF),
    (b"RICOH", MediaType.PEF),
    (b"CANON", MediaType.CR2),
)


def _tiff(head: bytes) -> MediaType:
    """Tell a camera's raw file from a plain TIFF by its first directory.

    A raw file says so outright (DNG version, sensor colours, a maker's compression), or its first directory is a
    reduced picture of a camera maker with the real one in a sub-directory. A directory beyond ``head`` means a plain
    TIFF: cameras write it first.
    """
    if head[8:10] == b"CR":
        return MediaType.CR2
    entries = {tag: (value, text) for tag, value, text in _directory(head)}
    values = {tag: value for tag, (value, _) in entries.items()}
    if _DNG_VERSION in entries:
        return MediaType.DNG
    reduced = _MAKE in entries and _SUB_IFDS in entries and values.get(_NEW_SUBFILE, 0) & 1
    sensor = values.get(_PHOTOMETRIC) in _SENSOR_PHOTOMETRIC or values.get(_COMPRESSION) in _SENSOR_COMPRESSION
    if not (reduced or sensor):
        return MediaType.TIFF
    maker = entries.get(_MAKE, (0, b""))[1].upper()
    return next((found for name, found in _MAKERS if maker.startswith(name)), MediaType.RAW)


def _directory(head: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Entries of the first directory as (tag, number, text), as far as they lie within ``head``."""
    order = "<" if head[:2] == b"II" else ">"
    if b"+" in head[2:4]:  # BigTIFF, which no camera writes
        return
    start = int.from_bytes(head[4:8], "little" if order == "<" else "big")
    if start + 2 > len(head):
        return
    count = struct.unpack_from(order + "H", head, start)[0]
    for at in range(start + 2, min(start + 2 + 12 * count, len(head) - 11), 12):
        tag, form, length = struct.unpack_from(order + "HHI", head, at)
        number = struct.unpack_from(order + ("H" if form == _SHORT else "I"), head, at + 8)[0]
        text = b""
        if form == _TEXT:
            text = head[number : number + min(length, 32)] if length > _INLINE else head[at + 8 : at + 12]
        yield tag, number, text
