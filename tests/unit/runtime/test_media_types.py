"""Types by content: what is accepted, what is told apart, what is refused."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.runtime.media_types import HEAD, Kind, MediaType, detect, refused_name

FORMATS = {
    "8bit-sRGB.avif": MediaType.AVIF,
    "IMG_2682.heic": MediaType.HEIC,
    "me_cheers_1440x960.heic": MediaType.HEIC,
    "denali.webp": MediaType.WEBP,
    "me_Issue_247-1.nef": MediaType.JPEG,
    "me_mspaint-10x10.gif": MediaType.GIF,
    "me_e34116d68f49c7852b362ec72a636df5.gif": MediaType.GIF,
    "pp_canon_eos_6d.dng": MediaType.DNG,
    "pp_example.tif": MediaType.TIFF,
    "pp_this-is-a-jpeg.png": MediaType.JPEG,
    "pv_bmp.bmp": MediaType.BMP,
    "pv_png.png": MediaType.PNG,
    "pv_up_arrow_90cw_nonweb.tiff": MediaType.TIFF,
    "2000.xmp": None,
    "pv_jpegxl.jxl": None,
    "pv_jpg2000.jp2": None,
    "../video/mp4.mp4": MediaType.MP4,
    "../video/quicktime.mov": MediaType.MOV,
    "../exif/tiff__BSG1.tiff": MediaType.TIFF,
}


@pytest.mark.parametrize(("name", "expected"), FORMATS.items())
def test_real_files_are_told_by_content(shared: Path, name: str, expected: MediaType | None) -> None:
    head = (shared / "photos/formats" / name).read_bytes()[:HEAD]
    assert detect(head) is expected


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    return struct.pack(">I4s4sI", 16 + 4 * len(compatible), b"ftyp", major, 0) + b"".join(compatible)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ftyp(b"mif1", b"mif1", b"avif"), MediaType.AVIF),
        (ftyp(b"mif1", b"miaf"), MediaType.HEIF),
        (ftyp(b"crx ", b"crx ", b"isom"), MediaType.CR3),
        (ftyp(b"M4A ", b"mp42", b"isom"), None),
        (ftyp(b"heic", b"mif1", b"isom"), MediaType.HEIC),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", MediaType.WEBM),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", None),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00", MediaType.CR2),
        (b"IIRO\x08\x00\x00\x00", MediaType.ORF),
        (b"FUJIFILMCCD-RAW 0201", MediaType.RAF),
        (b"RIFF\x00\x00\x00\x00AVI LIST", None),
        (b"BMW is a car, and this a letter about it", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_heads_made_by_hand(head: bytes, expected: MediaType | None) -> None:
    assert detect(head) is expected


def tiff(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\x00\x08\x00\x00\x00" + body + struct.pack("<I", 0) + tail


def test_a_reduced_first_picture_of_a_camera_with_another_inside_is_raw() -> None:
    text_at = 8 + 2 + 3 * 12 + 4
    entries = ((254, 4, 1, 1), (271, 2, 18, text_at), (330, 4, 1, 4000))
    assert detect(tiff(*entries, tail=b"NIKON CORPORATION\0")) is MediaType.NEF
    assert detect(tiff((254, 4, 1, 0), *entries[1:], tail=b"NIKON CORPORATION\0")) is MediaType.TIFF


def test_known_formats_that_are_refused_have_a_name() -> None:
    assert refused_name(b"\xff\x0a\x10") == "JPEG XL"
    assert refused_name(b"\x00\x00\x00\x0cjP  ") == "JPEG 2000"
    assert refused_name(b"hello") is None


def test_kinds() -> None:
    assert {MediaType.HEIC.kind, MediaType.MOV.kind, MediaType.DNG.kind} == {Kind.IMAGE, Kind.VIDEO, Kind.RAW}


@given(prefix=st.sampled_from([b"", b"II*\x00", b"MM\x00*", b"\0\0\0\x18ftyp", b"BM"]), rest=st.binary(max_size=200))
def test_nothing_upsets_it(prefix: bytes, rest: bytes) -> None:
    assert detect(prefix + rest) in {*MediaType, None}
