"""Libraries get the work that their weight says, and none of their backfill while it is paused."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery.runtime.database import Database
from gallery.runtime.ids import uuid7
from gallery.runtime.leases import Job, Lane, WorkQueue
from gallery.runtime.migrations import migrate
from gallery.runtime.shares import Pace, Share, Shares

LONG = timedelta(minutes=5)
ANNA, BEN = UUID(int=1), UUID(int=2)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, schema="ml_worker", packages=[])
    async with Database.open(database_url, schema="ml_worker") as opened:
        yield opened


async def ask(database: Database, library: UUID, count: int, lane: Lane = Lane.BACKFILL) -> None:
    jobs = [Job(library, uuid7(), "analyse", lane) for _ in range(count)]
    async with database.transaction() as tx:
        await WorkQueue(database).add(tx, jobs)


async def claim(database: Database, limit: int, *, pausable: bool = True) -> Counter[UUID]:
    claimed = await WorkQueue(database).claim(stages=["analyse"], limit=limit, lease=LONG, pausable=pausable)
    return Counter(leased.job.library_id for leased in claimed)


async def begin_anew(database: Database, weights: Sequence[int], *, jobs: int) -> dict[UUID, int]:
    """Libraries of these weights, with so much to do each."""
    async with database.transaction() as tx:
        await tx.execute("TRUNCATE work, shares")
    libraries = {UUID(int=number): weight for number, weight in enumerate(weights, start=1)}
    for library, weight in libraries.items():
        await Shares(database).change(library, weight=weight)
        await ask(database, library, jobs)
    return libraries


@given(weights=st.lists(st.integers(1, 10), min_size=1, max_size=4), rounds=st.integers(1, 3))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whole_rounds_give_each_library_its_weight(database: Database, weights: list[int], rounds: int) -> None:
    libraries = await begin_anew(database, weights, jobs=rounds * max(weights))
    claimed = await claim(database, rounds * sum(weights))
    assert claimed == {library: rounds * weight for library, weight in libraries.items()}


async def test_claims_of_one_follow_the_weights_by_chance(database: Database) -> None:
    await begin_anew(database, [3, 1], jobs=120)
    claimed = sum([await claim(database, 1) for _ in range(120)], Counter())
    assert 66 <= claimed[ANNA] <= 114  # 90 are due; five standard deviations of 4.7 are left for chance


async def test_a_paused_backfill_waits_and_what_is_interactive_goes_on(database: Database) -> None:
    await ask(database, ANNA, 5)
    await ask(database, ANNA, 2, Lane.INTERACTIVE)
    await ask(database, BEN, 3)
    await Shares(database).change(ANNA, paused=True)
    assert await claim(database, 20) == {ANNA: 2, BEN: 3}
    assert await claim(database, 20) == {}
    await Shares(database).change(ANNA, paused=False)
    assert await claim(database, 20) == {ANNA: 5}


async def test_what_cannot_be_paused_is_claimed_all_the_same(database: Database) -> None:
    await ask(database, ANNA, 5)
    await Shares(database).change(ANNA, paused=True)
    assert await claim(database, 20, pausable=False) == {ANNA: 5}


async def test_nobody_waits_for_what_is_paused(database: Database) -> None:
    queue = WorkQueue(database)
    await ask(database, ANNA, 5)
    assert await queue.library_has(ANNA, stage="analyse")
    await Shares(database).change(ANNA, paused=True)
    assert not await queue.library_has(ANNA, stage="analyse")
    await ask(database, ANNA, 1, Lane.INTERACTIVE)
    assert await queue.library_has(ANNA, stage="analyse")


async def test_one_change_leaves_the_other(database: Database) -> None:
    shares = Shares(database)
    assert await shares.of(ANNA) == Share(weight=1, paused=False)
    await shares.change(ANNA, paused=True)
    await shares.change(ANNA, weight=4)
    assert await shares.of(ANNA) == Share(weight=4, paused=True)
    assert await shares.of(BEN) == Share()


async def test_the_pace_is_that_of_the_last_minutes(database: Database) -> None:
    shares = Shares(database)
    queue = WorkQueue(database)
    await ask(database, ANNA, 30)
    assert await shares.pace(ANNA, stage="analyse") == {Lane.INTERACTIVE: Pace(0, 0), Lane.BACKFILL: Pace(30, 0)}
    claimed = await queue.claim(stages=["analyse"], limit=20, lease=LONG)
    async with database.transaction() as tx:
        for leased in claimed:
            await queue.finish(tx, leased)
    assert (await shares.pace(ANNA, stage="analyse"))[Lane.BACKFILL] == Pace(10, 20.0)  # a minute counts at least
    await age(database, timedelta(minutes=2))
    assert (await shares.pace(ANNA, stage="analyse"))[Lane.BACKFILL].per_minute == pytest.approx(10, rel=0.2)
    await age(database, timedelta(minutes=4))
    assert (await shares.pace(ANNA, stage="analyse"))[Lane.BACKFILL] == Pace(10, 0)
    await shares.forget_ended()
    async with database.read() as connection:
        assert await (await connection.execute("SELECT FROM ended_work")).fetchall() == []


async def age(database: Database, by: timedelta) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE ended_work SET at = at - %(by)s", {"by": by})


def test_the_time_left_is_known_only_when_something_moves() -> None:
    assert Pace(0, 0).left == timedelta(0)
    assert Pace(10, 0).left is None
    assert Pace(10, 20.0).left == timedelta(seconds=30)
