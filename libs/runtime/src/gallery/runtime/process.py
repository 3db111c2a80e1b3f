"""One process of one service: a role, served over HTTP with health and metrics until it is told to stop."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from pydantic import Field

from gallery.runtime import liveness
from gallery.runtime.background import background
from gallery.runtime.errors import GalleryError
from gallery.runtime.http import listen, serve
from gallery.runtime.logs import configure, get_logger
from gallery.runtime.settings import SettingsError, load
from gallery.runtime.tracing import TracingSettings, exporting

log = get_logger(__name__)

Role = Callable[[], AbstractAsyncContextManager[FastAPI]]
"""Opens what a process does, and the app that it answers with; a role that only consumes answers for its health."""

Job = Callable[[], Awaitable[None]]
"""Does something once, such as migrating."""


class ProcessSettings(TracingSettings):
    """Where a process of the distributed profile answers, and where its spans go."""

    host: str = Field(default="127.0.0.1", title="Address", description="Network address to answer on.")
    port: int = Field(
        default=8000, ge=0, le=65535, title="Port", description="TCP port to answer on; 0 takes a free one."
    )


def main(name: str, *, roles: Mapping[str, Role], jobs: Mapping[str, Job]) -> int:
    """Run the role or job that the command line names; returns the exit code.

    SIGTERM and SIGINT stop a role in order: what is under way is finished or handed back.
    """
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("role", choices=[*roles, *jobs])
    chosen = parser.parse_args().role
    configure()
    try:
        if chosen in jobs:
            asyncio.run(_once(jobs[chosen]))
        else:
            settings = load(ProcessSettings, beside=None)
            with exporting(f"{name}-{chosen}", settings):
                asyncio.run(_until_stopped(roles[chosen], settings))
    except (GalleryError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _once(job: Job) -> None:
    await job()


async def _until_stopped(role: Role, settings: ProcessSettings) -> None:
    running = asyncio.ensure_future(_serve(role, settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        return


async def _serve(role: Role, settings: ProcessSettings) -> None:
    with listen(host=settings.host, port=settings.port) as listener:
        async with role() as app, background(watch=liveness.watch(), http=serve(app, listener=listener)):
            log.info("serving", port=listener.getsockname()[1])
            await asyncio.Event().wait()
