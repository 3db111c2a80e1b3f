"""Direct uploads in Postgres."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from gallery.ports.direct_uploads import DirectUpload
from gallery.runtime.connection import Row
from gallery.runtime.database import Database
from gallery.runtime.sql import Queries
from gallery.upload.domain import Claim, Ended, Lane, Outcome, Transfer
from gallery.upload.errors import StillCheckingError

queries = Queries.load("gallery.upload")

SWEPT_AT_ONCE = 100
"""Each costs a few requests to the store."""


class PostgresTransfers:
    """The rows of direct uploads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, transfer: Transfer) -> None:
        """Keep a new one and declare its blob, which no process owns."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.declare_unowned_intent, _columns(transfer))
            await tx.execute(queries.insert_transfer, _columns(transfer))

    async def find(self, library_id: UUID, transfer_id: UUID) -> Transfer | None:
        """This one, unless it has run out."""
        return await self._one("select_transfer", library_id=library_id, id=transfer_id)

    async def unfinished(self, library_id: UUID, *, sha256: bytes, size: int) -> Transfer | None:
        """The newest one of this content that has neither ended nor run out."""
        return await self._one("select_unfinished_transfer", library_id=library_id, sha256=sha256, size=size)

    async def renew(self, transfer_id: UUID, upload: DirectUpload) -> None:
        """The store knows it by something else from now on, unless it has ended."""
        place = {"staged": upload.staged, "parts_id": upload.parts_id, "piece_size": upload.piece_size}
        await self._change("renew_transfer", id=transfer_id, **place)

    async def end(self, transfer_id: UUID, ended: Ended) -> None:
        """Keep how it ended."""
        await self._change(
            "end_transfer", id=transfer_id, outcome=ended.outcome, photo_id=ended.photo_id, detail=ended.detail
        )

    async def forget(self, transfer_id: UUID) -> None:
        """It is over; if its blob is no original by now, it is abandoned."""
        await self._change("forget_transfer", id=transfer_id)

    async def expired(self) -> Sequence[Transfer]:
        """Some of those that have run out, ended or not."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.select_expired_transfers, {"limit": SWEPT_AT_ONCE})
            return [_transfer(row) for row in await cursor.fetchall()]

    @asynccontextmanager
    async def alone(self, transfer_id: UUID) -> AsyncIterator[None]:
        """Let nobody else end this one while the block is open; see the port.

        The lock is a session's, on a connection of its own: reading a film again takes minutes, and a process that
        dies lets go of it.
        """
        connection = await AsyncConnection.connect(self._database.url, autocommit=True, row_factory=dict_row)
        async with connection:
            cursor = await connection.execute(queries.lock_transfer, {"id": str(transfer_id)})
            row = await cursor.fetchone()
            if row is None or not row["alone"]:
                raise StillCheckingError("this upload is being looked at right now: ask again in a moment")
            try:
                yield
            finally:
                with suppress(OperationalError):  # then the server lets go of it by itself, though not at once
                    await connection.execute(queries.unlock_transfer, {"id": str(transfer_id)})

    async def _one(self, query: str, **values: Any) -> Transfer | None:
        async with self._database.read() as connection:
            row = await (await connection.execute(getattr(queries, query), values)).fetchone()
            return None if row is None else _transfer(row)

    async def _change(self, query: str, **values: Any) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(getattr(queries, query), values)


def _columns(transfer: Transfer) -> dict[str, Any]:
    claim, upload = transfer.claim, transfer.upload
    return {
        "id": transfer.id,
        "library_id": claim.library_id,
        "file": claim.file,
        "lane": claim.lane,
        "modified_at": claim.modified_at,
        "said": None if claim.said is None else Jsonb(claim.said),
        "staged": upload.staged,
        "parts_id": upload.parts_id,
        "size": upload.size,
        "sha256": upload.sha256,
        "piece_size": upload.piece_size,
        "blob_key": transfer.blob_key,
        "expires_at": transfer.expires_at,
    }


def _transfer(row: Row) -> Transfer:
    sha256 = bytes(row["sha256"])
    claim = Claim(
        library_id=row["library_id"],
        file=row["file"],
        lane=Lane(row["lane"]),
        sha256=sha256,
        modified_at=row["modified_at"],
        said=row["said"],
    )
    upload = DirectUpload(
        staged=row["staged"],
        parts_id=row["parts_id"],
        size=row["size_bytes"],
        sha256=sha256,
        piece_size=row["piece_size"],
    )
    ended = Ended(Outcome(row["outcome"]), row["photo_id"], row["detail"]) if row["outcome"] else None
    return Transfer(row["id"], claim, upload, row["blob_key"], row["expires_at"], ended)
