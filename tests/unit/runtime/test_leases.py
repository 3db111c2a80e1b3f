"""Work is shared fairly, done once, and never lost with the one who held it."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from support.measured import page

from gallery.runtime import metrics
from gallery.runtime.database import Database
from gallery.runtime.leases import Job, Lane, Leased, LeaseLostError, WorkQueue
from gallery.runtime.migrations import migrate
from gallery.runtime.tracing import span

LONG = timedelta(minutes=5)
OVER = timedelta(0)
ANNA, BEN = UUID(int=1), UUID(int=2)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, schema="ml_worker", packages=[])
    async with Database.open(database_url, schema="ml_worker") as opened:
        yield opened


def jobs(library: UUID, count: int, lane: Lane = Lane.BACKFILL) -> list[Job]:
    return [Job(library_id=library, subject=uuid4(), stage="analyse", lane=lane) for _ in range(count)]


async def queue_with(database: Database, *batches: list[Job]) -> WorkQueue:
    queue = WorkQueue(database)
    async with database.transaction() as tx:
        for batch in batches:
            await queue.add(tx, batch)
    return queue


async def claim(queue: WorkQueue, limit: int, lease: timedelta = LONG) -> list[Leased]:
    return list(await queue.claim(stages=["analyse"], limit=limit, lease=lease))


async def finish(database: Database, queue: WorkQueue, leased: Leased) -> None:
    async with database.transaction() as tx:
        await queue.finish(tx, leased)


async def test_two_workers_never_hold_the_same_job(database: Database) -> None:
    queue = await queue_with(database, jobs(ANNA, 20))
    held = [await claim(queue, 8) for _ in range(4)]
    assert [len(batch) for batch in held] == [8, 8, 4, 0]
    assert len({leased.id for batch in held for leased in batch}) == 20


async def test_a_large_library_does_not_hold_up_a_small_one(database: Database) -> None:
    queue = await queue_with(database, jobs(ANNA, 100), jobs(BEN, 3))
    first = Counter(leased.job.library_id for leased in await claim(queue, 8))
    assert first[BEN] == 3


async def test_somebody_who_waits_goes_before_a_backfill_that_still_moves(database: Database) -> None:
    queue = await queue_with(database, jobs(ANNA, 50), jobs(BEN, 50, Lane.INTERACTIVE))
    lanes = Counter(leased.job.lane for leased in await claim(queue, 16))
    assert lanes[Lane.INTERACTIVE] > lanes[Lane.BACKFILL] > 0


async def test_a_claim_can_be_for_one_lane(database: Database) -> None:
    queue = await queue_with(database, jobs(ANNA, 5), jobs(BEN, 2, Lane.INTERACTIVE))
    ask = partial(queue.claim, stages=["analyse"], limit=8, lease=LONG, lanes=[Lane.INTERACTIVE])
    assert [leased.job.library_id for leased in await ask()] == [BEN, BEN]
    assert list(await ask()) == []
    assert len(await claim(queue, 8)) == 5


async def test_the_same_work_asked_for_twice_is_one_job(database: Database) -> None:
    work = jobs(ANNA, 1)
    queue = await queue_with(database, work, work)
    assert len(await claim(queue, 8)) == 1


async def test_work_asked_for_while_it_is_done_is_done_again(database: Database) -> None:
    work = jobs(ANNA, 1)
    queue = await queue_with(database, work)
    (leased,) = await claim(queue, 8)
    async with database.transaction() as tx:
        await queue.add(tx, work)
    await finish(database, queue, leased)
    (again,) = await claim(queue, 8)
    await finish(database, queue, again)
    assert await claim(queue, 8) == []
    assert not await queue.library_has(ANNA, stage="analyse")


async def test_an_expired_lease_is_another_s_and_the_first_holder_cannot_finish(database: Database) -> None:
    queue = await queue_with(database, jobs(ANNA, 1))
    (lost,) = await claim(queue, 8, OVER)
    (taken,) = await claim(queue, 8)
    assert taken.fence > lost.fence
    assert taken.attempt == 2
    with pytest.raises(LeaseLostError):
        await finish(database, queue, lost)
    await finish(database, queue, taken)


async def test_what_is_given_back_costs_no_attempt(database: Database) -> None:
    queue = await queue_with(database, jobs(ANNA, 1))
    (leased,) = await claim(queue, 8)
    await queue.give_back(leased)
    (again,) = await claim(queue, 8)
    assert again.attempt == 1


async def test_a_later_try_waits(database: Database) -> None:
    queue = await queue_with(database, jobs(ANNA, 1))
    (leased,) = await claim(queue, 8)
    await queue.retry_later(leased, after=LONG)
    assert await claim(queue, 8) == []
    (depth,) = await queue.depth()
    assert (depth["stage"], depth["pending"]) == ("analyse", 1)


async def test_what_waits_is_told_by_stage_and_lane_also_where_nothing_waits(database: Database) -> None:
    queue = await queue_with(database, jobs(ANNA, 2), jobs(BEN, 1, Lane.INTERACTIVE))
    async with database.transaction() as tx:
        await tx.execute("UPDATE work SET created = now() - interval '1 minute' WHERE lane = 'interactive'")
    with metrics.sampled(partial(queue.sample, ["analyse", "people"])):
        shown = await page()
    pending = {
        (stage, lane): shown.value("gallery_work_pending_jobs", stage=stage, lane=lane)
        for stage in ("analyse", "people")
        for lane in Lane
    }
    assert list(pending.values()) == [1, 2, 0, 0]
    oldest = [shown.value("gallery_work_oldest_seconds", stage="analyse", lane=lane) or 0 for lane in Lane]
    assert 60 <= oldest[0] < 90
    assert oldest[1] < 30


async def test_work_is_done_in_the_trace_of_what_asked_for_it_last(database: Database) -> None:
    work = jobs(ANNA, 1)
    with span("first"):
        queue = await queue_with(database, work)
    with span("second") as second:
        await queue_with(database, work)
    (leased,) = await claim(queue, 8)
    assert leased.traceparent == str(second.place)
