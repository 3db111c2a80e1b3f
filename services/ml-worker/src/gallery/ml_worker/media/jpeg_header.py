"""What a JPEG file says of itself before its pixels begin (ITU-T T.81, annex B)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.orientation import orientation

# SOF markers; C4, C8 and CC in between are tables and reserved.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN, _END, _EXIF, _ICC = 0xDA, 0xD9, 0xE1, 0xE2
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_ICC_NAME = b"ICC_PROFILE\x00"
_SCAN_MARK = b"\xff\xda"


@dataclass(slots=True)
class JpegHeader:
    """Facts of the main picture; an embedded thumbnail's are not looked at.

    Attributes:
        width: Pixels.
        height: Pixels.
        components: 1 grey, 3 colour, 4 CMYK or YCCK.
        precision: Bits a sample, 8 in nearly all files.
        progressive: Decoding touches every coefficient once a scan.
        scans: How many there are, at least; only counted in progressive files.
        orientation: EXIF value, 1 to 8.
        icc: Colour profile, put together from its pieces.
        ended: The file has an end marker behind its pixels.
    """

    width: int = 0
    height: int = 0
    components: int = 0
    precision: int = 8
    progressive: bool = False
    scans: int = 1
    orientation: int = 1
    icc: bytes | None = None
    ended: bool = True
    _pieces: dict[int, bytes] = field(default_factory=dict)

    def take(self, marker: int, body: bytes) -> None:
        """Learn from one segment."""
        if marker in _FRAMES and len(body) >= 6 and not self.width:  # noqa: PLR2004  # length of its fixed part
            self.precision, self.height, self.width, self.components = struct.unpack_from(">BHHB", body)
            self.progressive = marker in _PROGRESSIVE
        elif marker == _EXIF and body.startswith(b"Exif\x00") and self.orientation == 1:
            self.orientation = orientation(body)
        elif marker == _ICC and body.startswith(_ICC_NAME):
            self._pieces[body[12] if len(body) > 12 else 0] = body[14:]  # noqa: PLR2004  # number of this piece

    def finish(self, content: bytes, scan_at: int) -> None:
        """Conclude what needs the whole file."""
        if self._pieces:
            self.icc = b"".join(self._pieces[number] for number in sorted(self._pieces))
        if self.progressive:
            self.scans = content.count(_SCAN_MARK, scan_at)
            scan_at = max(scan_at, content.rfind(_SCAN_MARK))
        self.ended = content.rfind(b"\xff\xd9", scan_at) >= 0  # from the end, where it nearly always stands


def read_jpeg_header(content: bytes) -> JpegHeader:
    """Walk over the segments up to the first scan.

    Raises:
        RejectedError: ``truncated`` when the file ends before its pixels, ``undecodable`` when it has no picture.
    """
    header = JpegHeader()
    for marker, start, end in _segments(content):
        if marker == _SCAN:
            header.finish(content, start)
            break
        header.take(marker, content[start:end])
    else:
        raise RejectedError("truncated", "the file ends before its pixels begin")
    if not header.width or not header.height:
        raise RejectedError("undecodable", "the header announces no pixels")
    return header


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment's content; garbage between segments is stepped over, as libjpeg does."""
    at = 2
    while (at := content.find(b"\xff", at)) >= 0 and at + 4 <= len(content):
        marker = content[at + 1]
        if marker in {0x00, 0xFF} or marker in _ALONE:
            at += 1 if marker == 0xFF else 2  # noqa: PLR2004  # a filling byte before a marker
            continue
        if marker == _END:
            return
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        yield marker, at + 4, end
        at = end
