"""The audit: every original is read back and compared with its checksum, a part of them each night.

A slice is what one process reads in one turn; where it ended is kept, so that any process goes on there. What is found
is reported and kept, never deleted: the bytes may come back, and a damaged photo may still be worth something.
"""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from gallery.ports.blobs import Blobs
from gallery.runtime.logs import get_logger
from gallery.upload.domain import Night, Turn
from gallery.upload.ports import Audits, Faults
from gallery.upload.verification import check

log = get_logger(__name__)

SLICE = 256 << 20
"""Bytes of one turn, and whatever the last original has above."""
ORIGINALS_AT_ONCE = 100
LEASE = timedelta(minutes=30)
"""Longer than a slice takes, also one with the largest file from a slow store."""
FIRST = UUID(int=0)
"""Before every photo."""


class Audit:
    """Reads originals back in turns.

    Args:
        budget: Bytes of one night; 0 for none.
        hour: Of UTC, at which a night begins.
    """

    def __init__(self, *, blobs: Blobs, audits: Audits, faults: Faults, budget: int, hour: int) -> None:
        self._blobs = blobs
        self._audits = audits
        self._faults = faults
        self._budget = budget
        self._hour = hour

    async def slice(self, *, now: datetime) -> bool:
        """Read a slice; false when there is nothing to read tonight, or another process reads.

        Raises:
            BlobError: The store cannot be read now; the same slice is read again later.
            TimeoutError: It took longer than a turn may.
        """
        turn = await self._audits.take(Night.at(now, hour=self._hour), budget=self._budget, lease=LEASE)
        if turn is None:
            return False
        try:
            async with asyncio.timeout(LEASE.total_seconds()):
                await self._read(turn)
        except Exception:
            await self._audits.release(turn)
            raise
        return True

    async def _read(self, turn: Turn) -> None:
        read, objects, after, left = 0, 0, turn.after, min(SLICE, self._budget - turn.spent)
        while read < left and (page := await self._audits.originals(after=after, limit=ORIGINALS_AT_ONCE)):
            for original in page:
                await check(original, blobs=self._blobs, faults=self._faults)
                read, objects, after = read + original.size, objects + 1, original.photo_id
                if read >= left:
                    break
        ended = read < left
        await self._audits.settle(turn, after=FIRST if ended else after, size=read, objects=objects, ended=ended)
        if ended:
            log.info("every original has been read back")
