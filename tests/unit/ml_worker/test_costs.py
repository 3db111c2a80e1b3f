"""What a backfill costs adds up, photo by photo, until another one begins."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from gallery.ml_worker.costs import OVER_AFTER, Cost, Costs, CpuMeter, Spent, note
from gallery.ml_worker.media.renderer import TIME_LIMIT, _believable
from gallery.runtime.database import Database
from gallery.runtime.leases import Job, Lane, Leased
from gallery.runtime.migrations import migrate

ANNA, BEN = UUID(int=1), UUID(int=2)
NOW = datetime.now(UTC)
SPENT = Spent(cpu_seconds=0.25, original_bytes=1000, derived_bytes=100)

Ended = Callable[..., Awaitable[None]]


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, schema="ml_worker", packages=["gallery.ml_worker"])
    async with Database.open(database_url, schema="ml_worker") as opened:
        yield opened


@pytest.fixture
def ended(database: Database) -> Ended:
    """End a photo, which was asked for some time ago."""

    async def end(library: UUID = ANNA, *, lane: Lane = Lane.BACKFILL, asked_at: datetime = NOW) -> None:
        leased = Leased(1, Job(library, library, "analyse", lane), asked=1, attempt=1, fence=1, asked_at=asked_at)
        async with database.transaction() as tx:
            await note(tx, leased, SPENT)

    return end


async def let_pass(database: Database, time: timedelta) -> None:
    """Make it so long before NOW that the last photo ended."""
    async with database.transaction() as tx:
        await tx.execute("UPDATE backfill_costs SET last_at = %s", [NOW - time])


async def test_photos_of_a_library_add_up(database: Database, ended: Ended) -> None:
    earlier = NOW - timedelta(hours=30)
    for asked_at in (NOW, earlier, NOW):
        await ended(asked_at=asked_at)
    await ended(BEN)
    await ended(lane=Lane.INTERACTIVE)
    costs = Costs(database)
    assert await costs.of(ANNA) == Cost(earlier, 3, 0.75, 3000, 300)
    assert (await costs.of(BEN)).photos == 1
    assert await costs.of(UUID(int=3)) == Cost()


async def test_what_is_asked_for_long_after_the_end_is_another_backfill(database: Database, ended: Ended) -> None:
    await ended(asked_at=NOW - timedelta(days=2))
    await let_pass(database, OVER_AFTER + timedelta(minutes=1))
    await ended(asked_at=NOW)
    assert await Costs(database).of(ANNA) == Cost(NOW, 1, 0.25, 1000, 100)


async def test_a_long_pause_ends_none(database: Database, ended: Ended) -> None:
    asked_at = NOW - timedelta(days=2)
    await ended(asked_at=asked_at)
    await let_pass(database, timedelta(days=1))
    await ended(asked_at=asked_at)
    await ended(asked_at=NOW - timedelta(minutes=1))  # it came while the others waited
    assert (await Costs(database).of(ANNA)).photos == 3


def test_a_meter_hands_out_each_second_once() -> None:
    meter = CpuMeter()
    sum(range(300_000))
    first = meter.take()
    assert first > 0
    assert meter.take() < first
    sum(range(300_000))
    meter.restart()
    assert meter.take() < first


@pytest.mark.parametrize(
    ("said", "believed"),
    [(0.3, 0.3), (-1.0, 0.0), (1e9, TIME_LIMIT.total_seconds()), (float("inf"), 10.0), (float("nan"), 0.0)],
)
def test_a_decoder_cannot_make_up_costs(said: float, believed: float) -> None:
    assert _believable(said) == believed
