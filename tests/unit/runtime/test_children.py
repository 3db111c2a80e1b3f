import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import numpy as np
import pytest
from support.measured import Growth

from gallery.runtime.children import Child, ChildDiedError, ChildFailedError, ChildRefusal, ChildTimeoutError

TARGET = "support.inmates:behave"
SOON = timedelta(seconds=20)


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    async with Child(TARGET) as child:
        yield child


async def test_header_and_blobs_come_back(child: Child) -> None:
    picture = np.arange(5_000_000, dtype=np.uint8).reshape(1000, 1000, 5)
    header, blobs = await child.request({"do": "echo", "é": [1]}, picture, b"", b"abc", timeout=SOON)
    assert header == {"do": "echo", "é": [1]}
    assert bytes(blobs[0]) == picture.tobytes()
    assert [bytes(blob) for blob in blobs[1:]] == [b"", b"abc"]


async def test_answers_stay_when_the_next_one_comes(child: Child) -> None:
    _, first = await child.request({"do": "echo"}, b"a" * 100_000, timeout=SOON)
    await child.request({"do": "echo"}, b"b" * 100_000, timeout=SOON)
    assert bytes(first[0]) == b"a" * 100_000


async def test_one_process_serves_all_requests_one_after_the_other(child: Child) -> None:
    answers = await asyncio.gather(*(child.request({"do": "pid"}, timeout=SOON) for _ in range(5)))
    assert {header["pid"] for header, _ in answers} == {child.pid}
    assert answers[0][0]["parent"] == os.getpid()


async def test_a_refusal_is_raised_again_and_leaves_the_child_alive(child: Child) -> None:
    (before, _) = await child.request({"do": "pid"}, timeout=SOON)
    with pytest.raises(ChildRefusal, match="not a picture") as refusal:
        await child.request({"do": "refuse"}, timeout=SOON)
    assert refusal.value.code == "undecodable"
    with pytest.raises(ChildFailedError, match="ValueError: a fault of ours"):
        await child.request({"do": "fail"}, timeout=SOON)
    assert child.pid == before["pid"]


async def test_killed_from_outside_while_working(child: Child) -> None:
    header, _ = await child.request({"do": "pid"}, timeout=SOON)
    asleep = asyncio.create_task(child.request({"do": "sleep"}, timeout=SOON))
    await asyncio.sleep(0)
    os.kill(header["pid"], signal.SIGKILL)
    async with Growth() as growth:
        with pytest.raises(ChildDiedError) as died:
            await asleep
        assert await growth.of("gallery_child_deaths_total", child=child.target, reason="killed") == 1
    assert died.value.reason == "killed"
    answer, _ = await child.request({"do": "pid"}, timeout=SOON)
    assert answer["pid"] != header["pid"]


async def test_killed_while_idle_is_not_noticed_by_the_next_request(child: Child) -> None:
    header, _ = await child.request({"do": "pid"}, timeout=SOON)
    os.kill(header["pid"], signal.SIGKILL)
    os.waitid(os.P_PID, header["pid"], os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it is dead at once
    answer, _ = await child.request({"do": "pid"}, timeout=SOON)
    assert answer["pid"] != header["pid"]


async def test_too_slow_is_killed(child: Child) -> None:
    header, _ = await child.request({"do": "pid"}, timeout=SOON)
    async with Growth() as growth:
        with pytest.raises(ChildTimeoutError):
            await child.request({"do": "sleep"}, timeout=timedelta(milliseconds=50))
        assert await growth.of("gallery_child_deaths_total", child=child.target, reason="timeout") == 1
    with pytest.raises(ProcessLookupError):
        os.kill(header["pid"], 0)


async def test_a_cancelled_request_kills_its_child_and_not_the_next_request(child: Child) -> None:
    header, _ = await child.request({"do": "pid"}, timeout=SOON)
    asleep = asyncio.create_task(child.request({"do": "sleep"}, timeout=SOON))
    await asyncio.sleep(0)
    asleep.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asleep
    answer, _ = await child.request({"do": "pid"}, timeout=SOON)
    assert answer["pid"] != header["pid"]


async def test_a_target_that_cannot_be_loaded_says_so() -> None:
    async with Child("support.nowhere:behave") as child:
        with pytest.raises(ChildFailedError, match="ModuleNotFoundError"):
            await child.request({}, timeout=SOON)


async def test_secrets_of_the_environment_stay_here(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_TOKEN", "secret")
    environment, _ = await child.request({"do": "environment"}, timeout=SOON)
    assert "GALLERY_TOKEN" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"


async def test_the_command_line_names_the_target(child: Child) -> None:
    header, _ = await child.request({"do": "pid"}, timeout=SOON)
    listing = subprocess.run(  # noqa: ASYNC221 - a test may wait
        ["ps", "-ww", "-o", "args=", "-p", str(header["pid"])], capture_output=True, text=True, check=True
    )
    assert "gallery.runtime.child support.inmates:behave" in listing.stdout


ORPHAN = """
import asyncio, sys
from datetime import timedelta
from gallery.runtime.children import Child

async def main():
    child = Child("support.inmates:behave")
    await child.request({"do": "pid"}, timeout=timedelta(seconds=20))
    print(child.pid, flush=True)
    await child.request({"do": "sleep"}, timeout=timedelta(hours=1))

asyncio.run(main())
"""


def test_a_child_dies_with_its_parent() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        handle = os.pidfd_open(pid)
        parent.kill()
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and _alive(pid):
            os.sched_yield()
        assert not _alive(pid)
    finally:
        os.close(handle)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - one read of a process file
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
