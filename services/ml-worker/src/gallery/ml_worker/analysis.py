"""Looking at one photo, from its original to the fact that it was analysed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial

from gallery.ml_worker import costs, store
from gallery.ml_worker.costs import Spent
from gallery.ml_worker.domain import End, Original, Packs, Photo, Rendering, Rendition, Seen, State
from gallery.ml_worker.errors import OriginalGoneError, RejectedError
from gallery.ml_worker.events import photo_analysed
from gallery.ml_worker.ports import Renderer
from gallery.ml_worker.store import PEOPLE, PhotoStore
from gallery.ports.blobs import BlobChangedError, BlobNotFoundError, Blobs, BlobStoreFullError, StoredBlob
from gallery.runtime import metrics
from gallery.runtime.database import Database, Transaction
from gallery.runtime.leases import Job, Leased, LeaseLostError
from gallery.runtime.outbox import append

PREFIX = "renditions"
"""Before library and photo in every key of ours, so that a check of renditions meets nothing else."""

LARGEST_IMAGE = 256 << 20
"""Bytes of a file that is decoded whole; raw files and panoramas of today have half of it."""

HEAD, TAIL = 48 << 20, 16 << 20
"""Bytes of a long video that its poster needs: its first seconds, and the index at either end."""


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A photo on its way: leased, decoded, not yet looked at."""

    leased: Leased
    photo: Photo
    rendering: Rendering


class Analysis:
    """The steps of an analysis. Results count only while the lease is ours."""

    def __init__(
        self, *, database: Database, photos: PhotoStore, blobs: Blobs, renderer: Renderer, packs: Packs
    ) -> None:
        self._database = database
        self._photos = photos
        self._blobs = blobs
        self._renderer = renderer
        self._packs = packs

    async def render(self, leased: Leased, *, rank: int = 0) -> Rendered | None:
        """Read and decode, the lowest rank first; None when the photo is gone, and its job with it.

        Raises:
            RejectedError: The file can never be shown.
            OriginalGoneError: It cannot be shown now.
            DecoderDiedError: Try again.
            BlobError: Try again.
        """
        photo = await self._photos.photo(leased.job.subject)
        if photo is None:
            async with self._database.transaction() as tx:
                await self._photos.queue.finish(tx, leased)
            return None
        try:
            original = await self._read(photo)
        except BlobNotFoundError as error:
            raise OriginalGoneError("original_missing") from error
        except BlobChangedError as error:
            raise OriginalGoneError("original_changed") from error
        with metrics.PHOTO_STEP_TIME.labels("decode").time():
            return Rendered(leased, photo, await self._renderer.render(original, rank=rank))

    async def keep(self, rendered: Rendered, seen: Seen, *, cpu_seconds: float) -> None:
        """Store the pictures and, in one transaction, everything that was found.

        Args:
            rendered: The photo.
            seen: What the models found.
            cpu_seconds: Of the processor, for that.

        Raises:
            LeaseLostError: The work is another's; nothing of this attempt is left.
            BlobStoreFullError: No room; nothing of this attempt is left.
        """
        leased, photo, rendering = rendered.leased, rendered.photo, rendered.rendering
        content = {"preview": rendering.preview, "thumbnail": rendering.thumbnail}
        keys = {kind: f"{PREFIX}/{photo.library_id}/{photo.id}-{leased.fence}-{kind}" for kind in content}
        await self._photos.declare(leased, list(keys.values()))
        try:
            stored = await self._put_all({keys[kind]: content[kind] for kind in content})
            pictures = [
                Rendition(photo.id, kind, blob.key, blob.size, blob.sha256)
                for kind, blob in zip(content, stored, strict=True)
            ]
            derived = sum(picture.size for picture in pictures)
            spent = Spent(rendering.cpu_seconds + cpu_seconds, photo.size, derived)
            await self._write(rendered, seen, pictures, spent)
        except (LeaseLostError, BlobStoreFullError):
            await self._discard(list(keys.values()))
            raise
        metrics.ANALYSED.labels(State.DONE).inc()

    async def give_up(self, leased: Leased, state: State, reason: str) -> None:
        """End the analysis without a picture; a former one stays.

        Raises:
            LeaseLostError: The work is another's.
        """
        ended = End(state, reason, leased.attempt, self._packs)
        async with self._database.transaction(keys=[str(leased.job.subject)]) as tx:
            await self._photos.queue.finish(tx, leased)
            await self._say(tx, leased, ended)
        metrics.ANALYSED.labels(state).inc()

    async def is_full(self) -> bool:
        """Whether pictures could not be stored now."""
        return await self._blobs.room() == 0

    async def sweep(self) -> int:
        """Remove what dead attempts left behind; returns how many blobs.

        What they asked the store for may come true after that, so each is removed again until that cannot be.
        """
        await self._photos.abandon()
        swept, last = 0, ""
        while keys := await self._photos.abandoned(after=last):
            for key in keys:
                await self._blobs.delete(key)
            await self._photos.forget_abandoned(keys)
            swept, last = swept + len(keys), keys[-1]
        return swept

    async def _read(self, photo: Photo) -> Original:
        read = partial(_content, self._blobs, photo.blob_key)
        if photo.media_type.startswith("video/") and photo.size > HEAD + TAIL:
            tail = await read(start=photo.size - TAIL, length=TAIL)
            return Original(photo.size, await read(start=0, length=HEAD), tail)
        if photo.size > LARGEST_IMAGE and not photo.media_type.startswith("video/"):
            raise RejectedError("too_large_to_decode", f"{photo.size} bytes are more than {LARGEST_IMAGE}")
        return Original(photo.size, await read(start=0, length=photo.size))

    async def _put_all(self, contents: Mapping[str, bytes]) -> list[StoredBlob]:
        """Store blobs side by side; an error is raised once none of them is being written any more."""
        puts = await asyncio.gather(*(self._put(*each) for each in contents.items()), return_exceptions=True)
        for put in puts:
            if isinstance(put, BaseException):
                raise put
        return [put for put in puts if isinstance(put, StoredBlob)]

    async def _put(self, key: str, content: bytes) -> StoredBlob:
        async def once() -> AsyncIterator[bytes]:
            yield content

        return await self._blobs.put(key, once())

    async def _write(self, rendered: Rendered, seen: Seen, pictures: list[Rendition], spent: Spent) -> None:
        leased, photo, rendering = rendered.leased, rendered.photo, rendered.rendering
        ended = End(
            state=State.DONE,
            reason="",
            attempts=leased.attempt,
            packs=self._packs,
            width=rendering.width,
            height=rendering.height,
            faces=len(seen.faces),
        )
        async with self._database.transaction(keys=[str(photo.id)]) as tx:
            await self._photos.queue.finish(tx, leased)
            await store.put_renditions(tx, photo, pictures)
            await store.put_measures(tx, photo.id, rendering.measures)
            if self._packs.face is not None:
                await store.put_faces(tx, photo, seen, pack=self._packs.face)
            if self._packs.tag is not None:
                await store.put_tags(tx, photo, seen, pack=self._packs.tag)
            await self._say(tx, leased, ended)
            if seen.faces:
                job = leased.job
                await self._photos.queue.add(tx, [Job(job.library_id, job.library_id, PEOPLE, job.lane)])
            await costs.note(tx, leased, spent)

    async def _say(self, tx: Transaction, leased: Leased, ended: End) -> None:
        job = leased.job
        revision = await store.end(tx, job.subject, ended)
        await append(tx, photo_analysed(job.subject, job.library_id, ended, revision=revision))

    async def _discard(self, keys: list[str]) -> None:
        for key in keys:
            await self._blobs.delete(key)
        await self._photos.forget(keys)


async def _content(blobs: Blobs, key: str, *, start: int, length: int) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(key, start=start, length=length)])
