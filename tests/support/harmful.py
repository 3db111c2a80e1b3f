"""Files made to harm: each of them small, each asking for more than any photo needs, or pretending to be one."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image
from support.pictures import quarters, saved


@dataclass(frozen=True, slots=True)
class Harm:
    """A file, under the name it comes with, and the codes that are right for it."""

    name: str
    content: bytes
    codes: frozenset[str]


def harmful() -> list[Harm]:
    """All of them; makes them anew, which takes a second or two."""
    return [Harm(name, make(), frozenset(codes.split())) for name, codes, make in _all()]


def _all() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    flood, lost, other = "too_many_pixels", "truncated", "unsupported_type"
    yield "flood.png", flood, lambda: _png(60_000, 60_000, zlib.compress(b"\0" * 1000))
    yield "flood.jpg", flood, lambda: _with_jpeg_size(65_500, 65_500)
    yield "flood.gif", flood, lambda: b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + saved(quarters(), "GIF")[10:]
    yield "flood.bmp", flood, lambda: _patched(saved(quarters(), "BMP"), 18, struct.pack("<ii", 90_000, 90_000))
    yield "flood.tif", flood, _tiff_flood
    yield "flood.webp", flood, _webp_flood
    yield "zeros.png", "decode_memory decode_timeout", _zeros
    yield "scans.jpg", "too_many_scans", _scans
    yield (
        "slow.jpg",
        "too_many_scans decode_timeout decode_memory",
        lambda: _scans(_with_jpeg_size(13_000, 13_000, True)),
    )
    yield "half.jpg", lost, lambda: _half(saved(quarters(), "JPEG"))
    yield "half.png", lost, lambda: _half(saved(quarters(), "PNG", compress_level=0))
    yield "half.webp", f"{lost} undecodable", lambda: _half(saved(quarters(), "WEBP", lossless=True))
    yield "letter.jpg", other, lambda: b"Dear sir or madam, I am a letter.\n" * 100
    yield "page.heic", other, lambda: b"<!doctype html><script>alert(1)</script>"
    yield "program.png", other, lambda: b"\x7fELF\x02\x01\x01" + bytes(4000)
    yield "laughs.svg", other, _laughs
    yield "zip.jpg", other, zip_bomb
    yield "start.jpg", f"{lost} undecodable", lambda: b"\xff\xd8\xff\xe0" + b"\x13\x37" * 5000
    yield "film.mp4", "undecodable", _film
    yield "film.webm", "undecodable", lambda: b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(5000)
    yield "loop.tif", "undecodable", _loop
    yield "sensor.dng", "undecodable", _sensor
    yield "nothing.jpg", "empty", lambda: b""


def exif_loop() -> bytes:
    """A good photo whose EXIF directories point at themselves: it must be shown, and stop nobody."""
    entries = struct.pack("<HHHII", 2, 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x0112, 3, 1, 1)
    block = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + entries + struct.pack("<I", 8)
    return saved(quarters(), "JPEG", exif=block)


def zip_bomb(size: int = 100 << 20) -> bytes:
    """Zeros, a thousand times smaller when packed, in an archive within an archive."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photo.jpg", bytes(size))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"{number}.zip", inner.getvalue())
    return outer.getvalue()


def _png(width: int, height: int, packed: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _zeros() -> bytes:
    """192 million pixels of nothing: within the budget of pixels, beyond that of memory."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 4 * 13_900)
    packed = b"".join([packer.compress(row * 100) for _ in range(139)]) + packer.flush()
    return _png(13_900, 13_900, packed)


def _with_jpeg_size(width: int, height: int, progressive: bool = False) -> bytes:  # noqa: FBT001, FBT002
    content = saved(quarters(), "JPEG", progressive=progressive)
    at = content.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    return _patched(content, at, struct.pack(">HH", height, width))


def _scans(content: bytes | None = None) -> bytes:
    """The last scan of a progressive picture, ten thousand times."""
    whole = content or saved(quarters(), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * 10_000 + whole[-2:]


def _patched(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _tiff_flood() -> bytes:
    content = saved(quarters(), "TIFF")
    for tag, size in ((256, 80_000), (257, 80_000)):
        for form in (3, 4):
            head = struct.pack("<HHI", tag, form, 1)
            if head in content:
                content = _patched(content, content.index(head), struct.pack("<HHII", tag, 4, 1, size))
    return content


def _webp_flood() -> bytes:
    """An animation on a canvas of 16,383 by 16,383."""
    content = saved(quarters(), "WEBP", save_all=True, append_images=[Image.new("RGB", (640, 480))])
    at = content.index(b"VP8X") + 12
    return _patched(content, at, (16_382).to_bytes(3, "little") * 2)


def _laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY l0 "ha">{entities}]><svg>&l9;</svg>'.encode()


def _film() -> bytes:
    """A brand, then an index that says it is larger than the file."""
    return (
        struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"mp42") + struct.pack(">I4s", 1 << 30, b"moov") + bytes(5000)
    )


def _loop() -> bytes:
    """A TIFF whose directory is followed by itself and has no picture."""
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 1, 330, 4, 1, 8) + struct.pack("<I", 8) + bytes(100)


def _sensor() -> bytes:
    """A raw file by its version tag, and nothing else."""
    entries = ((254, 4, 1, 0), (256, 4, 1, 9_000), (257, 4, 1, 9_000), (50706, 1, 4, 0x0401))
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(entries)) + body + bytes(200)
