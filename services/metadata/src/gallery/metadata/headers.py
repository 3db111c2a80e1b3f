"""From the bytes of an original to what the catalogue says of it."""

import asyncio
import struct
from datetime import datetime
from typing import Any

from gallery.metadata.domain import ORIGINAL_CHANGED, ORIGINAL_MISSING, ORIGINAL_UNREADABLE, Described, Gps, Original
from gallery.metadata.errors import HeaderReaderKilledError
from gallery.metadata.places import Places
from gallery.metadata.ports import Jail
from gallery.metadata.said import told
from gallery.metadata.taken import Clues, Stamp, choose
from gallery.ports.blobs import BlobChangedError, BlobNotFoundError, Blobs
from gallery.ports.elsewhere import PlaceUnreadableError
from gallery.runtime.children import ChildDiedError, ChildFailedError, ChildTimeoutError
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

# APP segments stand before the picture: EXIF, XMP and colour profile of a JPEG end well within a mebibyte.
JPEG_HEAD = 1024 * 1024
# TIFF, RAW, HEIC, PNG and WebP may keep the header at their end, and the child holds the bytes more than once.
LARGEST_WHOLE = 96 * 1024 * 1024
LARGEST_MOOV = 32 * 1024 * 1024
MOST_TOP_BOXES = 256
_BOX_HEAD = 16
LIMITS_REACHED = "header_limits"
READER_FAILED = "header_reader_failed"
GONE = {
    BlobNotFoundError: ORIGINAL_MISSING,
    BlobChangedError: ORIGINAL_CHANGED,
    PlaceUnreadableError: ORIGINAL_UNREADABLE,  # waiting for somebody's bucket would hold up everybody's photos
}


class Headers:
    """Reads headers in a jail and chooses what to believe."""

    def __init__(self, *, blobs: Blobs, jail: Jail, places: Places) -> None:
        self._blobs = blobs
        self._jail = jail
        self._places = places

    async def describe(self, original: Original) -> Described:
        """Say what a file says of itself.

        A header that is broken, too costly or not there is no error: what could be read is kept, and ``reason`` tells.
        """
        read, reason = await self._read(original)
        hearsay = told(original.said)
        gps, gps_from = (Gps(**read["gps"]), "header") if read.get("gps") else (hearsay.gps, hearsay.gps_from)
        place = await asyncio.to_thread(self._places.name, gps) if gps else None
        clues = Clues(
            stamps=[Stamp(s["source"], datetime.fromisoformat(s["wall"]), s["offset"]) for s in read.get("times", [])],
            said=hearsay.taken,
            instant=datetime.fromisoformat(read["gps_time"]) if read.get("gps_time") else None,
            file=original.file,
            modified_at=original.modified_at,
            uploaded_at=original.uploaded_at,
            zone=place.timezone if place else None,
        )
        return Described(
            taken=choose(clues),
            camera=read.get("camera"),
            lens=read.get("lens"),
            exposure=read.get("exposure", {}),
            orientation=read.get("orientation", 1),
            gps=gps,
            gps_from=gps_from,
            place=place,
            reason=reason,
        )

    async def _read(self, original: Original) -> tuple[dict[str, Any], str]:
        try:
            content = await self._content(original)
        except tuple(GONE) as error:
            return {}, next(reason for kind, reason in GONE.items() if isinstance(error, kind))
        try:
            read, _ = await self._jail.call({"media_type": original.media_type}, content)
        except ChildDiedError as error:
            if error.reason == "killed":
                raise HeaderReaderKilledError("the header reader was killed from outside") from error
            return {}, LIMITS_REACHED
        except ChildTimeoutError:
            return {}, LIMITS_REACHED
        except ChildFailedError:
            log.exception("header reader failed", photo_id=str(original.photo_id))
            return {}, READER_FAILED
        return read, str(read.get("reason", ""))

    async def _content(self, original: Original) -> bytes:
        """Fetch what the reader needs of the file, and no more."""
        if original.media_type.startswith("video/"):
            return await self._moov(original)
        whole = original.media_type != "image/jpeg" and original.size <= LARGEST_WHOLE
        return await self._range(original, 0, original.size if whole else JPEG_HEAD)

    async def _range(self, original: Original, start: int, length: int) -> bytes:
        wanted = min(length, original.size - start)
        if wanted <= 0:
            return b""
        chunks = [chunk async for chunk in self._blobs.read(original.blob_key, start=start, length=wanted)]
        return b"".join(chunks)

    async def _moov(self, original: Original) -> bytes:
        """Find the box that describes a film by hopping over the others; films are long and it may come last."""
        at = 0
        for _ in range(MOST_TOP_BOXES):
            head = await self._range(original, at, _BOX_HEAD)
            if len(head) < 8:  # noqa: PLR2004 - size and type
                return b""
            size, kind = struct.unpack_from(">I4s", head)
            if size == 1 and len(head) == _BOX_HEAD:
                (size,) = struct.unpack_from(">Q", head, 8)
            if kind == b"moov":
                return await self._range(original, at, min(size or original.size, LARGEST_MOOV))
            if size < 8:  # noqa: PLR2004 - to the end of the file, or nonsense
                return b""
            at += size
        return b""
