"""Whose picture the models see before whose."""

import asyncio

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery.ml_worker.batches import Batches, Turn
from gallery.ml_worker.domain import Seen

OVERTAKES = 5
NOTHING = np.zeros((1, 1, 3), np.uint8)


async def looked_at(batches: Batches, turns: list[Turn]) -> list[list[Turn]]:
    """Which pictures are seen together, when all of them wait already."""
    waiting = [asyncio.create_task(batches.seen(turn, NOTHING)) for turn in turns]
    await asyncio.sleep(0)
    together: list[list[Turn]] = []
    while sum(map(len, together)) < len(turns):
        batch = await batches.next()
        together.append([each.turn for each in batch])
        for each in batch:
            each.seen.set_result((Seen(), 0.0))
    await asyncio.gather(*waiting)
    return together


@settings(deadline=None)  # each example has an event loop of its own
@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4))
def test_urgent_ones_go_first_and_overtake_nobody_for_ever(urgent: list[bool], size: int) -> None:
    batches = Batches(size=size, overtakes=OVERTAKES)
    turns = [batches.turn(urgent=each) for each in urgent]
    together = asyncio.run(looked_at(batches, turns))
    order = [turn for batch in together for turn in batch]
    assert sorted(order) == sorted(turns)
    for batch in together:
        assert len(batch) <= size
        assert all(turn.urgent for turn in batch) or not batch[0].urgent
    for place, turn in enumerate(order):
        before = order[:place]
        if turn.urgent:
            assert [other for other in before if not other.urgent and other.number > turn.number - OVERTAKES] == []
        else:
            overtaking = [other for other in before if other.number > turn.number]
            assert all(other.urgent for other in overtaking)
            assert len(overtaking) <= OVERTAKES
