"""A loop that loses a cancellation still ends with its block."""

import asyncio
from contextlib import suppress

from gallery.runtime.background import background


async def deaf_at_first(heard: list[int]) -> None:
    """Lose the first cancellation, as a wait does that meets its answer at the same moment."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    heard.append(1)
    await asyncio.Event().wait()


async def test_a_lost_cancellation_is_repeated() -> None:
    heard: list[int] = []
    async with asyncio.timeout(10), background(loop=deaf_at_first(heard)):
        await asyncio.sleep(0)
    assert heard == [1]
