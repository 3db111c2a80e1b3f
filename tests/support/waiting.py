"""Waiting for something that other tasks bring about."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 60
"""Far more than anything takes, so that only what never comes fails, on a slow machine too."""


async def expect_soon(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so; a condition that never comes fails the test."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110  # the change happens in a database, which sets no event
            await asyncio.sleep(0.01)
