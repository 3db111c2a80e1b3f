"""Keeping the index as new as the catalogue: take what changed, ask its owners, compose, write, say so."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from gallery.ports.search_index import SearchIndex
from gallery.runtime import metrics
from gallery.runtime.background import background
from gallery.runtime.logs import get_logger
from gallery.runtime.retry import is_transient
from gallery.runtime.tracing import span
from gallery.search.documents import Composer
from gallery.search.domain import Claim, Composed
from gallery.search.errors import IndexUnavailableError
from gallery.search.facts import AnalysisFacts, PhotoFacts
from gallery.search.ports import Owners

log = get_logger(__name__)

BATCH = 200
"""Photos in one taking; owners answer at most 500 ids."""

FILLING = timedelta(milliseconds=200)
"""How long a library's first change waits for others; what changes again meanwhile is composed once. While photos come
without a pause, this bounds how often an index has to make what it took visible, the dearest part of a taking."""

LEASE = timedelta(seconds=6)
"""A dead process holds its taking up for so long; a living one lengthens its lease four times in it."""

TAKING_AT_MOST = timedelta(seconds=15)
"""Then the owners or the index hang, and the photos are better tried again."""

_POLL = timedelta(milliseconds=500)
_LONGEST_PAUSE = timedelta(minutes=5)


class Pending(Protocol):
    """The table of photos whose document is old."""

    async def claim(self, *, limit: int, lease: timedelta, filling: timedelta) -> Claim | None:
        """Take all that is due of one library whose oldest change has waited so long; None when there is none."""
        ...

    async def lengthen(self, claim: Claim, *, lease: timedelta) -> None:
        """Keep what is still ours of it for so long from now."""
        ...

    async def settle(self, claim: Claim, composed: Sequence[Composed], gone: Sequence[UUID]) -> None:
        """Write the documents of what is still ours, and the facts that they can be found, in one transaction."""
        ...

    async def give_back(
        self, claim: Claim, photo_ids: Sequence[UUID], *, pause: timedelta, blameless: bool = False
    ) -> None:
        """Have these taken again, after a pause; without blame this was no attempt."""
        ...


@dataclass(frozen=True, slots=True)
class _Batch:
    composed: list[Composed]
    gone: list[UUID]
    unready: list[UUID]


class Indexing:
    """One loop; any number of them may run over the same table."""

    def __init__(
        self,
        *,
        pending: Pending,
        owners: Owners,
        index: SearchIndex,
        composer: Composer,
        filling: timedelta = FILLING,
    ) -> None:
        self._pending = pending
        self._owners = owners
        self._index = index
        self._composer = composer
        self._filling = filling
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Say that something is pending; without this it is found by polling."""
        self._changed.set()

    async def run(self) -> None:
        """Index until cancelled; an error makes it wait, and is never the end of it."""
        while True:
            try:
                while await self.step():
                    pass
            except Exception as error:  # noqa: BLE001 - the database may be away; what is pending stays there
                log.warning("indexing is held up", error=type(error).__name__)
            try:
                async with asyncio.timeout(_POLL.total_seconds()):
                    await self._changed.wait()
            except TimeoutError:
                continue
            self._changed.clear()
            await asyncio.sleep(self._filling.total_seconds())

    async def step(self) -> bool:
        """Index one taking; False when nothing was due, or when others would fail as well."""
        claim = await self._pending.claim(limit=BATCH, lease=LEASE, filling=self._filling)
        if claim is None:
            return False
        try:
            with span("index"), metrics.INDEX_TIME.time():
                async with asyncio.timeout(TAKING_AT_MOST.total_seconds()), background(lease=self._keep(claim)):
                    await self._index_all(claim)
            metrics.INDEXED.inc(len(claim.revisions))
        except Exception as error:  # noqa: BLE001 - whatever it was, these photos come again
            log.warning("photos were not indexed, trying later", photos=len(claim.revisions), error=repr(error))
            await self._pending.give_back(
                claim,
                list(claim.revisions),
                pause=_pause(claim.attempts),
                blameless=isinstance(error, IndexUnavailableError),
            )
            return not is_transient(error)
        return True

    async def _keep(self, claim: Claim) -> None:
        """Lengthen the lease while somebody works under it."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            await self._pending.lengthen(claim, lease=LEASE)

    async def _index_all(self, claim: Claim) -> None:
        ids = list(claim.revisions)
        photos = await self._owners.photos(claim.library_id, ids)
        # After the photos: an analysis that is newer than its photo is right, an older one would stay.
        analyses = await self._owners.analyses(claim.library_id, ids)
        batch = self._compose(claim, photos, analyses)
        with _index_expected():
            await self._index.put([each.document for each in batch.composed])
            if batch.gone:
                await self._index.delete(claim.library_id, batch.gone, revision=claim.number)
        await self._pending.settle(claim, batch.composed, batch.gone)
        if batch.unready:
            await self._pending.give_back(claim, batch.unready, pause=_pause(claim.attempts))

    def _compose(
        self, claim: Claim, photos: Mapping[UUID, PhotoFacts], analyses: Mapping[UUID, AnalysisFacts]
    ) -> _Batch:
        batch = _Batch([], [], [])
        for photo_id, revision in claim.revisions.items():
            photo = photos.get(photo_id)
            if photo is None:
                batch.gone.append(photo_id)
            elif photo.revision < revision:
                batch.unready.append(photo_id)
            else:
                analysis = analyses.get(photo_id)
                batch.composed.append(
                    self._composer.compose(photo, analysis, library_id=claim.library_id, revision=claim.number)
                )
        return batch


@contextmanager
def _index_expected() -> Iterator[None]:
    """Tell an index that is away from photos that cannot be indexed."""
    try:
        yield
    except Exception as error:
        if is_transient(error):
            raise IndexUnavailableError(f"the search index does not answer: {type(error).__name__}") from error
        raise


def _pause(attempts: int) -> timedelta:
    """One second, doubling with each attempt."""
    return min(timedelta(seconds=2 ** min(attempts - 1, 10)), _LONGEST_PAUSE)
