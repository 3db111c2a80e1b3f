"""Having every document of every library written again, such as into an index that is made anew."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from gallery.runtime.logs import get_logger

log = get_logger(__name__)

_POLL = timedelta(seconds=1)


class Documents(Protocol):
    """The service's own documents, and the table of photos to index."""

    async def next_number(self) -> int:
        """A number between those of the takings before and after."""
        ...

    async def libraries(self) -> Sequence[UUID]:
        """Every library that has a photo here."""
        ...

    async def mark_all(self, library_id: UUID) -> None:
        """Have every photo of the library indexed again, those that are being indexed at this moment, too."""
        ...

    async def older_than(self, number: int) -> int:
        """How many documents were composed before this number."""
        ...


async def rebuild_everything(documents: Documents) -> None:
    """Return when every document was written again; the loops that index do it, in whatever process they run."""
    number = await documents.next_number()
    for library_id in await documents.libraries():
        await documents.mark_all(library_id)
    while left := await documents.older_than(number):
        log.info("photos are left to be indexed again", photos=left)
        await asyncio.sleep(_POLL.total_seconds())
