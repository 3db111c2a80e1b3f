"""Originals and intents in Postgres."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from gallery.events.topics import Topic
from gallery.events.v1 import uploads_pb2
from gallery.runtime import outbox
from gallery.runtime.database import Database, Transaction
from gallery.runtime.logs import get_logger
from gallery.runtime.sql import Queries
from gallery.upload.domain import Lane, Original
from gallery.upload.errors import IntentLostError
from gallery.upload.quotas import refuse_beyond_quota

queries = Queries.load("gallery.upload")
log = get_logger(__name__)

PAGE = 500
"""Rows read, or facts said, at a time."""

FIRST_REVISION = 1
"""An original never changes."""

LANES = {Lane.INTERACTIVE: uploads_pb2.LANE_INTERACTIVE, Lane.BACKFILL: uploads_pb2.LANE_BACKFILL}

OWNERS = 0x75706C64
"""Family of the advisory locks that living processes hold; any number nobody else uses ("upld")."""

LOOK_AFTER = timedelta(seconds=30)
"""How often the connection that holds the lock is tried."""

RECONNECT_AFTER = timedelta(seconds=1)


class PostgresOriginals:
    """The rows of originals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, original: Original, *, lane: Lane) -> Original:
        """Make it exist and say so; see the port."""
        key = str(original.photo_id)
        async with self._database.transaction(keys=[key]) as tx:
            inserted = await tx.execute(queries.insert_original, _columns(original))
            if await inserted.fetchone() is None:
                return await self._first(tx, original)
            passed = {"library_id": original.library_id, "photos": 0, "bytes": 0}  # it is counted by now
            refuse_beyond_quota(await (await tx.execute(queries.select_passed_quota, passed)).fetchone())
            await tx.execute(queries.insert_file_name, _columns(original))
            fulfilled = await tx.execute(queries.fulfil_intent, {"key": original.blob_key})
            if await fulfilled.fetchone() is None:
                raise IntentLostError("the upload was taken for abandoned: send it again")
            await outbox.append(tx, _fact(original, lane))
        return original

    async def known(self, library_id: UUID, digests: Collection[bytes]) -> dict[bytes, UUID]:
        """Photo ids by sha256, for those that are stored."""
        async with self._database.read() as connection:
            cursor = await connection.execute(
                queries.select_known, {"library_id": library_id, "digests": list(digests)}
            )
            return {bytes(row["sha256"]): row["photo_id"] for row in await cursor.fetchall()}

    async def refuse_when_full(self, library_id: UUID, *, size: int = 1) -> None:
        """Say so before anything is sent; see the port."""
        least = {"library_id": library_id, "photos": 1, "bytes": size}
        async with self._database.read() as connection:
            refuse_beyond_quota(await (await connection.execute(queries.select_passed_quota, least)).fetchone())

    async def find(self, library_id: UUID, photo_ids: Collection[UUID]) -> Sequence[Original]:
        """These originals, as far as they are there, in any order."""
        async with self._database.read() as connection:
            cursor = await connection.execute(
                queries.select_originals, {"library_id": library_id, "photo_ids": list(photo_ids)}
            )
            return [Original(**row) for row in await cursor.fetchall()]

    async def every(self, library_id: UUID) -> AsyncIterator[Original]:
        """All originals of a library, oldest first; no connection is held between pages."""
        after = UUID(int=0)
        while page := await self._page(library_id, after):
            for original in page:
                yield original
            after = page[-1].photo_id

    async def say_again(self, library_id: UUID) -> int:
        """Say PhotoUploaded of every original once more, in the backfill lane; returns how many."""
        said = 0
        after = UUID(int=0)
        while page := await self._page(library_id, after):
            async with self._database.transaction(keys=[str(original.photo_id) for original in page]) as tx:
                await outbox.append(tx, *(_fact(original, Lane.BACKFILL) for original in page))
            said += len(page)
            after = page[-1].photo_id
        return said

    async def unknown_keys(self, keys: Collection[str]) -> Collection[str]:
        """Which of these blob keys belong to no row and to no intent."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.select_unknown_keys, {"keys": list(keys)})
            return [row["key"] for row in await cursor.fetchall()]

    async def _page(self, library_id: UUID, after: UUID) -> list[Original]:
        async with self._database.read() as connection:
            cursor = await connection.execute(
                queries.select_page, {"library_id": library_id, "after": after, "limit": PAGE}
            )
            return [Original(**row) for row in await cursor.fetchall()]

    async def _first(self, tx: Transaction, original: Original) -> Original:
        known = await tx.execute(
            queries.select_known, {"library_id": original.library_id, "digests": [original.sha256]}
        )
        photo_ids = [row["photo_id"] for row in await known.fetchall()]
        found = await tx.execute(queries.select_originals, {"library_id": original.library_id, "photo_ids": photo_ids})
        row = await found.fetchone()
        if row is None:
            raise IntentLostError("the same bytes were just deleted: send them again")
        return Original(**row)


class PostgresIntents:
    """Blobs about to be written, each marked with the number of its process.

    ``hold`` must run as long as this object is in use: the lock it holds tells others that the process lives. When the
    connection breaks, others may abandon our intents; such an upload fails at its end and is sent again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner = secrets.randbits(31)
        self._running: set[str] = set()

    async def declare(self, library_id: UUID, key: str) -> None:
        """Say durably that this process will put a blob of this key."""
        self._running.add(key)
        async with self._database.transaction() as tx:
            await tx.execute(queries.declare_intent, {"key": key, "library_id": library_id, "owner": self._owner})

    def let_go(self, key: str) -> None:
        """This process writes no more under this key."""
        self._running.discard(key)

    async def disown(self, key: str) -> bool:
        """Give up one blob; false when it is an original's by now."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.abandon_intent, {"key": key})
            recorded = await tx.execute(queries.select_recorded, {"key": key})
            return await recorded.fetchone() is None

    async def forget(self, key: str, *, after: timedelta) -> None:
        """There is nothing left of this blob, and nothing can come any more once it was given up so long ago."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.forget_intent, {"key": key, "after": after})

    async def abandon(self) -> Sequence[str]:
        """Take over the intents that nobody works on any more."""
        async with self._database.transaction() as tx:
            cursor = await tx.execute(
                queries.abandon_intents, {"owner": self._owner, "running": list(self._running), "family": OWNERS}
            )
            return [row["blob_key"] for row in await cursor.fetchall()]

    async def hold(self) -> None:
        """Show that this process lives, until cancelled."""
        while True:
            try:
                await self._hold_once()
            except psycopg.OperationalError:
                log.warning("lost the connection that shows that this process lives")
            await asyncio.sleep(RECONNECT_AFTER.total_seconds())

    async def _hold_once(self) -> None:
        async with self._database.read() as connection:
            await connection.execute(queries.hold_owner, {"family": OWNERS, "owner": self._owner})
            while True:
                await asyncio.sleep(LOOK_AFTER.total_seconds())
                await connection.execute("SELECT")


def _columns(original: Original) -> dict[str, Any]:
    return {
        "photo_id": original.photo_id,
        "library_id": original.library_id,
        "blob_key": original.blob_key,
        "sha256": original.sha256,
        "size": original.size,
        "media_type": original.media_type,
        "uploaded_at": original.uploaded_at,
        "file": original.file,
        "modified_at": original.modified_at,
        "said": None if original.said is None else Jsonb(original.said),
    }


def _fact(original: Original, lane: Lane) -> outbox.Fact:
    return outbox.Fact(
        topic=Topic.UPLOADS,
        key=str(original.photo_id),
        library_id=original.library_id,
        revision=FIRST_REVISION,
        body=uploads_pb2.PhotoUploaded(
            photo_id=str(original.photo_id),
            blob_key=original.blob_key,
            sha256=original.sha256,
            size_bytes=original.size,
            media_type=original.media_type,
            lane=LANES[lane],
            uploaded_at_ms=int(original.uploaded_at.timestamp() * 1000),
        ),
    )
