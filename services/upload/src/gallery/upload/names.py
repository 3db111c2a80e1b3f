"""File names as people gave them, made safe to keep and to show.

A name is only ever data: nothing is opened by it. Still it travels into tables, headers, archives and terminals, so
it is normalised once, here.
"""

import re
import unicodedata

LONGEST = 1024
"""Bytes in UTF-8; common file systems stop at 255 for a segment and 4,096 for a path."""

NAMELESS = "unnamed"

_DRIVE = re.compile("[A-Za-z]:")
_ALSO_SEPARATOR = str.maketrans("\\", "/")


def safe_path(path: str) -> str:
    r"""Return a relative path of plain segments joined by ``/``, 1 to 1,024 bytes in UTF-8, in Unicode form C.

    Drive letters, leading separators, ``.`` and ``..`` are dropped; control, format and surrogate characters (which
    could turn a name around on a screen) too. ``C:\..\a\b.jpg`` becomes ``a/b.jpg``. What is too long loses its
    outermost folders first, then the middle of its name, never its ending. Applying it twice changes nothing.
    """
    cleaned = "".join(
        c for c in unicodedata.normalize("NFC", path) if unicodedata.category(c) not in {"Cc", "Cf", "Cs"}
    )
    cleaned = unicodedata.normalize("NFC", cleaned)  # what stood apart may now combine
    segments = [segment.strip() for segment in cleaned.translate(_ALSO_SEPARATOR).split("/")]
    kept = [segment for segment in segments if segment not in {"", ".", ".."}]
    while len(kept) > 1 and _DRIVE.fullmatch(kept[0]):
        kept = kept[1:]
    return _fitted(kept or [NAMELESS])


def _fitted(segments: list[str]) -> str:
    while len(segments) > 1 and _size("/".join(segments)) > LONGEST:
        segments = segments[1:]
    path = "/".join(segments)
    return path if _size(path) <= LONGEST else _shortened(path)


def _shortened(name: str) -> str:
    """Cut the stem, so that the ending still says what it is."""
    stem, dot, ending = name.rpartition(".")
    tail = dot + ending if dot and _size(ending) < LONGEST // 4 else ""
    stem = stem if tail else name
    room = LONGEST - _size(tail)
    return stem.encode()[:room].decode(errors="ignore").rstrip() + tail


def _size(text: str) -> int:
    return len(text.encode())
