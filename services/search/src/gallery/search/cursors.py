"""Where the next page begins, as text that says nothing to its bearer and is checked when it comes back."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gallery.ports.search_index import Place
from gallery.search.errors import BadCursorError

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a page hands to the next one.

    Attributes:
        after: The last place of the page before.
        watermark: When the first page was asked for, aware; what came in later is not shown.
        total: As counted for the first page.
    """

    after: Place
    watermark: datetime
    total: int


def write(cursor: Cursor, *, library_id: UUID, query: str) -> str:
    """Write a cursor down, bound to its library and query."""
    fields = [
        _VERSION,
        _mark(library_id, query),
        cursor.after.taken_at.isoformat(),
        cursor.after.photo_id.hex,
        cursor.watermark.isoformat(),
        cursor.total,
    ]
    return base64.urlsafe_b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode().rstrip("=")


def read(text: str, *, library_id: UUID, query: str) -> Cursor:
    """Read a cursor.

    Raises:
        BadCursorError: It is none of ours, or of another query or library.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        version, mark, taken_at, photo_id, watermark, total = json.loads(base64.b64decode(padded, b"-_", validate=True))
        cursor = Cursor(
            Place(datetime.fromisoformat(taken_at), UUID(hex=photo_id)), datetime.fromisoformat(watermark), int(total)
        )
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise BadCursorError("This cursor cannot be read; begin with the first page.") from None
    if version != _VERSION or mark != _mark(library_id, query):
        raise BadCursorError("This cursor belongs to another query; begin with the first page.")
    if cursor.after.taken_at.tzinfo is not None or cursor.watermark.tzinfo is None:
        raise BadCursorError("This cursor cannot be read; begin with the first page.")
    return cursor


def _mark(library_id: UUID, query: str) -> str:
    text = f"{library_id}\n{query}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:16]
