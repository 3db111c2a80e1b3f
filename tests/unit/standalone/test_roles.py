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

PROGRAM = """
import asyncio, contextlib, sys
from datetime import timedelta
from gallery.runtime import liveness
from gallery.standalone import role

async def deaf(profile):
    while True:
        print("here", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

async def stuck(profile):
    with liveness.step("one that hangs", at_most=timedelta(0)):
        await asyncio.Event().wait()

role.ROLES, role.STOP_WITHIN = {"deaf": deaf, "stuck": stuck}, timedelta(seconds=1)
role.main()
"""


def begun(name: str, folder: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "GALLERY_DATA": str(folder), "GALLERY_DATABASE_URL": "postgresql://nowhere"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, name], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_one_that_hangs_ends_itself_when_it_is_told_to_stop(tmp_path: Path) -> None:
    with begun("deaf", tmp_path) as role:
        assert role.stdout
        assert role.stdout.readline() == b"here\n"
        role.send_signal(signal.SIGTERM)
        assert role.wait(timeout=60) == -signal.SIGALRM


def test_one_that_is_stuck_says_where_and_ends(tmp_path: Path) -> None:
    with begun("stuck", tmp_path) as role:
        _, told = role.communicate(timeout=60)
    assert b"one that hangs" in told
    assert role.returncode == 0


async def test_one_that_hangs_is_killed_however_impatiently_the_gallery_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    started: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()

    async def hang(role: Role) -> asyncio.subprocess.Process:
        del role
        program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
        assert process.stdout
        await process.stdout.readline()
        started.put_nowait(process)
        return process

    monkeypatch.setattr(Role, "_start", hang)
    monkeypatch.setattr(roles, "STOP_WITHIN", roles.STOP_WITHIN / 5)  # longer than others wait before they insist
    async with background(role=Role("deaf", environment={}).run()):
        process = await started.get()
    assert process.returncode == -signal.SIGKILL
