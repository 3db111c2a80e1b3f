"""Which way is up: the one EXIF value that pixels depend on, read from headers however damaged."""

import struct

import cv2

from gallery.ml_worker.media.source import Pixels

_ORIENTATION = 0x0112
_BYTE, _SHORT, _LONG = 1, 3, 4
_UPRIGHT = 1
_TRANSPOSED_FROM = 5
"""From this value on, width and height change places (EXIF 2.32, tag 274)."""

_FLIP = {2: 1, 3: -1, 4: 0}
_TURN = {6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}


def orientation(exif: bytes) -> int:
    """Read the orientation from a TIFF block, with or without ``Exif`` before it; 1 when it does not say.

    Only the first directory is read, entry by entry and never beyond its end, so loops and lies about lengths do
    nothing. Writers that use another integer type than the standard's are understood.
    """
    block = exif[6:] if exif.startswith(b"Exif\x00") else exif
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return _UPRIGHT
    start = int.from_bytes(block[4:8], "little" if order == "<" else "big")
    if start + 2 > len(block):
        return _UPRIGHT
    count = struct.unpack_from(order + "H", block, start)[0]
    for at in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        tag, form = struct.unpack_from(order + "HH", block, at)
        if tag == _ORIENTATION and form in {_BYTE, _SHORT, _LONG}:
            code = {_BYTE: "B", _SHORT: "H", _LONG: "I"}[form]
            value: int = struct.unpack_from(order + code, block, at + 8)[0]
            return value if value in range(1, 9) else _UPRIGHT
    return _UPRIGHT


def upright(pixels: Pixels, value: int) -> Pixels:
    """Turn and mirror pixels so that their orientation becomes 1."""
    if value in _FLIP:
        return cv2.flip(pixels, _FLIP[value])  # type: ignore[return-value]
    if value in _TURN:
        return cv2.rotate(pixels, _TURN[value])  # type: ignore[return-value]
    if value == 5:  # noqa: PLR2004  # EXIF's own number: mirrored along the main diagonal
        return cv2.transpose(pixels)  # type: ignore[return-value]
    if value == 7:  # noqa: PLR2004  # mirrored along the other diagonal
        return cv2.flip(cv2.transpose(pixels), -1)  # type: ignore[return-value]
    return pixels


def upright_size(width: int, height: int, value: int) -> tuple[int, int]:
    """Width and height after turning."""
    return (height, width) if value >= _TRANSPOSED_FROM else (width, height)
