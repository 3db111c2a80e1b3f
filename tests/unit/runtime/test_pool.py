"""What is lent goes to the lowest rank, and is not lost with a caller who gives up."""

import asyncio

import pytest

from gallery.runtime.pool import Pool


@pytest.fixture
def pool() -> Pool[str]:
    return Pool(["the only one"])


async def ask(pool: Pool[str], rank: int, name: str, served: list[str]) -> None:
    async with pool.lent(rank=rank):
        served.append(name)


async def test_the_lowest_rank_is_served_first_and_the_oldest_among_equals(pool: Pool[str]) -> None:
    served: list[str] = []
    async with asyncio.TaskGroup() as group, pool.lent(rank=0):
        for rank, name in [(2, "late"), (1, "first"), (1, "second"), (-3, "in a hurry")]:
            group.create_task(ask(pool, rank, name, served))
        await asyncio.sleep(0)  # all of them ask
        assert served == []
    assert served == ["in a hurry", "first", "second", "late"]


async def test_who_gives_up_is_passed_over(pool: Pool[str]) -> None:
    served: list[str] = []
    async with asyncio.TaskGroup() as group, pool.lent(rank=0):
        hasty = group.create_task(ask(pool, 1, "hasty", served))
        group.create_task(ask(pool, 2, "patient", served))
        await asyncio.sleep(0)
        hasty.cancel()
    assert served == ["patient"]


async def test_who_gives_up_when_it_is_their_turn_leaves_it_to_the_next(pool: Pool[str]) -> None:
    served: list[str] = []
    async with asyncio.TaskGroup() as group:
        async with pool.lent(rank=0):
            hasty = group.create_task(ask(pool, 1, "hasty", served))
            group.create_task(ask(pool, 2, "patient", served))
            await asyncio.sleep(0)
        hasty.cancel()  # it has been handed over, but nobody has taken it yet
    assert served == ["patient"]


async def test_what_came_back_last_goes_out_first() -> None:
    pool = Pool([1, 2])
    async with pool.lent(rank=0) as first:
        async with pool.lent(rank=0) as second:
            assert {first, second} == {1, 2}
        async with pool.lent(rank=0) as again:
            assert again == second
    async with pool.lent(rank=0) as last:
        assert last == first
