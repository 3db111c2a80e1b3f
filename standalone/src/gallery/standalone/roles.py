"""Child processes for the roles that compute, started again when they die."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import timedelta

from gallery.runtime.background import finish
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

STOP_WITHIN = timedelta(seconds=10)
"""How long a role may take to hand its work back before it is killed; its leases then run out by themselves."""

KILLED_WITHIN = STOP_WITHIN + timedelta(seconds=1)

FIRST_PAUSE = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(seconds=5)
HEALTHY_AFTER = timedelta(seconds=30)
"""A role that lived this long starts again at once; one that dies at its start is tried ever more slowly."""


class Role:
    """One child process, kept running.

    Args:
        name: Of the role, as ``python -m gallery.standalone.role NAME`` knows it.
        environment: What the child sees; secrets travel here and never on the command line.
    """

    def __init__(self, name: str, *, environment: Mapping[str, str]) -> None:
        self.name = name
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs now."""
        return self._process is not None and self._process.returncode is None

    async def run(self) -> None:
        """Keep it running until cancelled, then stop it gracefully."""
        pause = FIRST_PAUSE
        try:
            while True:
                began = time.monotonic()
                self._process = await self._start()
                code = await self._process.wait()
                lived = time.monotonic() - began
                log.warning(
                    "role died, starting it again", role=self.name, exit_code=code, lived_seconds=round(lived, 1)
                )
                pause = FIRST_PAUSE if lived > HEALTHY_AFTER.total_seconds() else min(pause * 2, LONGEST_PAUSE)
                await asyncio.sleep(pause.total_seconds())
        finally:
            await finish(self._stop(), grace=KILLED_WITHIN)  # whoever ends us is impatient, and says so every second

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gallery.standalone.role",
            self.name,
            env={**os.environ, **self._environment},
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the parent only, which then stops its roles in order
        )

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_WITHIN.total_seconds()):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
