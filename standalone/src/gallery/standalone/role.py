"""Run one computing role of ml-worker as a process of its own: ``python -m gallery.standalone.role analyse|people``."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from gallery.adapters.profile import Profile
from gallery.ml_worker import main as ml_worker
from gallery.ml_worker.settings import MlWorkerSettings
from gallery.runtime import liveness
from gallery.runtime.background import background
from gallery.runtime.logs import configure
from gallery.runtime.settings import load
from gallery.runtime.tracing import exporting
from gallery.standalone.parts import KINDS
from gallery.standalone.roles import STOP_WITHIN
from gallery.standalone.settings import StandaloneSettings

PR_SET_PDEATHSIG = 1


async def analyse(profile: Profile) -> None:
    """Look at photos."""
    async with profile.database("ml_worker") as database, profile.blobs() as blobs:
        await ml_worker.analyse(settings=profile.settings(MlWorkerSettings), database=database, blobs=blobs)


async def people(profile: Profile) -> None:
    """Group faces into people."""
    async with profile.database("ml_worker") as database, profile.vectors() as vectors:
        await ml_worker.people(settings=profile.settings(MlWorkerSettings), database=database, vectors=vectors)


ROLES: Mapping[str, Callable[[Profile], Awaitable[None]]] = {"analyse": analyse, "people": people}


def _die_with_parent() -> None:
    """Stop when the parent is gone: leases that nobody serves would only delay the next start."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        sys.exit(0)


async def _until_stopped(name: str) -> None:
    settings = load(StandaloneSettings, beside=KINDS)
    if settings.database_url is None:
        raise SystemExit("a role works for a gallery that runs: GALLERY_DATABASE_URL is missing")
    role = asyncio.ensure_future(_watched(ROLES[name](Profile(settings, kinds=KINDS))))

    def stop() -> None:
        role.cancel()
        # Whatever hangs, this ends us: a parent that has died kills nobody.
        signal.alarm(round(STOP_WITHIN.total_seconds()))

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    with exporting(f"gallery-{name}", settings), suppress(asyncio.CancelledError):
        await role


async def _watched(work: Awaitable[None]) -> None:
    async with background(watch=liveness.watch(), stop=_stop_when_stuck()):
        await work


async def _stop_when_stuck() -> None:
    """Be started anew when a step hangs, as a cluster does with a process that is not live."""
    while not liveness.stuck():  # noqa: ASYNC110  # what hangs sets no event
        await asyncio.sleep(liveness.LOOK_EVERY.total_seconds())
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the role that the command line names until SIGTERM or the parent's death."""
    _die_with_parent()
    configure()
    asyncio.run(_until_stopped(sys.argv[1]))


if __name__ == "__main__":
    main()
