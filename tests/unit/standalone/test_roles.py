"""No role outlives the gallery that it works for."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gallery.runtime.background import background
from gallery.standalone import roles
from gallery.standalone.roles import Role

DEAF = """
import asyncio, contextlib, sys
from datetime import timedelta
from gallery.standalone import role

async def deaf(profile):
    while True:
        print("here", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

role.ROLES, role.STOP_WITHIN, sys.argv = {"deaf": deaf}, timedelta(seconds=1), ["role", "deaf"]
role.main()
"""


def test_one_that_hangs_ends_itself_when_it_is_told_to_stop(tmp_path: Path) -> None:
    environment = {**os.environ, "GALLERY_DATA": str(tmp_path), "GALLERY_DATABASE_URL": "postgresql://nowhere"}
    with subprocess.Popen([sys.executable, "-c", DEAF], env=environment, stdout=subprocess.PIPE) as role:
        assert role.stdout
        assert role.stdout.readline() == b"here\n"
        role.send_signal(signal.SIGTERM)
        assert role.wait(timeout=60) == -signal.SIGALRM


async def test_one_that_hangs_is_killed_however_impatiently_the_gallery_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()

    async def hang(role: Role) -> asyncio.subprocess.Process:
        del role
        program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
        assert process.stdout
        await process.stdout.readline()
        begun.put_nowait(process)
        return process

    monkeypatch.setattr(Role, "_start", hang)
    monkeypatch.setattr(roles, "STOP_WITHIN", roles.STOP_WITHIN / 5)  # longer than others wait before they insist
    async with background(role=Role("deaf", environment={}).run()):
        process = await begun.get()
    assert process.returncode == -signal.SIGKILL
