"""Daily partitions of outbox and inbox: made ahead, dropped whole."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

from psycopg import Error
from psycopg.sql import SQL, Identifier, Literal

from gallery.events.topics import CATALOGUE
from gallery.runtime.database import Database, Transaction
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

TABLES = ("outbox", "inbox")
AHEAD = timedelta(days=2)
"""A day may begin while the maintenance is down; two days of margin cost two empty tables."""
RETENTION = max(entry.retention for entry in CATALOGUE.values())
"""Whoever fell further behind is resynchronised by the owners."""
CATCH_UP = timedelta(hours=1)
"""A gallery that was switched off for longer than the retention first reads what waits; nothing is dropped so long."""
LOOK_EVERY = timedelta(minutes=1)
"""A machine that slept over midnights has its partitions a minute after it wakes."""


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[Transaction]:
    """Change partitions one process at a time: IF NOT EXISTS does not wait for the one who is making it."""
    async with database.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('partitions ' || current_schema, 0))")
        yield tx


async def _make(tx: Transaction, table: str, day: date) -> None:
    name = Identifier(f"{table}_{day:%Y%m%d}")
    await tx.execute(
        SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
            name, Identifier(table), Literal(f"{day}T00:00Z"), Literal(f"{day + timedelta(days=1)}T00:00Z")
        )
    )


async def _drop_before(tx: Transaction, table: str, oldest: date) -> None:
    cursor = await tx.execute(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = to_regclass(%s)", [table]
    )
    for row in await cursor.fetchall():
        if row["name"].removeprefix(f"{table}_") < f"{oldest:%Y%m%d}":
            await tx.execute(SQL("DROP TABLE {}").format(Identifier(row["name"])))


async def renew(database: Database, *, today: date | None = None) -> None:
    """Make the partitions of today and the next days."""
    day = today or datetime.now(UTC).date()
    async with _alone(database) as tx:
        for table in TABLES:
            for offset in range(-1, AHEAD.days + 1):
                await _make(tx, table, day + timedelta(days=offset))


async def drop_old(database: Database, *, today: date | None = None) -> None:
    """Drop the partitions past the retention."""
    day = today or datetime.now(UTC).date()
    async with _alone(database) as tx:
        for table in TABLES:
            await _drop_before(tx, table, day - RETENTION)


async def make_day(database: Database, table: str, at: datetime) -> None:
    """Make the partition that ``at`` belongs to, for an event that is older than what is made ahead."""
    async with _alone(database) as tx:
        await _make(tx, table, at.astimezone(UTC).date())


async def keep_renewing(database: Database) -> None:
    """Make and drop every day, until cancelled."""
    renewed: date | None = None
    began = asyncio.get_running_loop().time()
    while True:
        today = datetime.now(UTC).date()
        try:
            if today != renewed:
                await renew(database, today=today)
                renewed = today
            if asyncio.get_running_loop().time() - began > CATCH_UP.total_seconds():
                await drop_old(database, today=today)
        except Error:
            log.exception("partitions were not renewed, it is tried again")
        await asyncio.sleep(LOOK_EVERY.total_seconds())
