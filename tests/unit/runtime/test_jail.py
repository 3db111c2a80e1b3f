import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from gallery.runtime.children import ChildDiedError, ChildError, ChildFailedError, ChildTimeoutError
from gallery.runtime.jail import Jail, Limits
from gallery.runtime.landlock import version

LIMITS = Limits(memory=256 << 20, cpu=timedelta(seconds=1), wall=timedelta(seconds=10))


@pytest.fixture
async def jail() -> AsyncIterator[Jail]:
    async with Jail(children=2, target="support.inmates:behave", limits=LIMITS) as jail:
        yield jail


@pytest.mark.parametrize(
    ("crime", "reason"),
    [
        ("memory", "memory"),
        ("memory of a library", "memory"),
        ("spin", "cpu"),
        ("exit", "exit"),
        ("segfault", "exit"),
        ("kill", "killed"),
    ],
)
async def test_a_crime_ends_its_child_and_is_named(jail: Jail, crime: str, reason: str) -> None:
    with pytest.raises(ChildDiedError) as died:
        await jail.call({"do": crime, "status": 3})
    assert died.value.reason == reason
    assert await jail.call({"do": "echo"}) == ({"do": "echo"}, [])


async def test_endless_sleep_ends_at_the_wall_limit() -> None:
    limits = Limits(memory=256 << 20, cpu=timedelta(seconds=1), wall=timedelta(milliseconds=100))
    async with Jail(children=1, target="support.inmates:behave", limits=limits) as jail:
        with pytest.raises(ChildTimeoutError):
            await jail.call({"do": "sleep"})
        assert (await jail.call({"do": "echo"}))[0] == {"do": "echo"}


async def test_writing_a_file_is_refused(jail: Jail, tmp_path: Path) -> None:
    with pytest.raises(ChildFailedError, match=r"File too large|Permission denied"):
        await jail.call({"do": "write", "path": str(tmp_path / "loot")})
    assert not (tmp_path / "loot").exists() or (tmp_path / "loot").stat().st_size == 0


@pytest.mark.skipif(version() == 0, reason="this kernel has no Landlock")
@pytest.mark.parametrize("crime", ["read", "remove"])
async def test_files_of_others_are_out_of_reach(jail: Jail, tmp_path: Path, crime: str) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_text("somebody else's")
    with pytest.raises(ChildFailedError, match="Permission denied"):
        await jail.call({"do": crime, "path": str(photo)})
    assert photo.read_text() == "somebody else's"


@pytest.mark.skipif(version() == 0, reason="this kernel has no Landlock")
async def test_no_program_can_be_started_but_modules_can_still_be_loaded(jail: Jail) -> None:
    with pytest.raises(ChildFailedError, match="Permission denied"):
        await jail.call({"do": "execute"})
    for module in ("zoneinfo", "PIL.WebPImagePlugin", "skimage.data"):
        assert (await jail.call({"do": "import", "module": module}))[0] == {"imported": module}


@pytest.mark.skipif(os.geteuid() != 0, reason="whether a user may leave the network is up to the host")
@pytest.mark.parametrize("crime", ["connect", "datagram"])
async def test_the_network_is_out_of_reach(jail: Jail, crime: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(ChildFailedError, match=r"unreachable|Permission denied"),
    ):
        await jail.call({"do": crime, "port": server.getsockname()[1]})


async def test_cpu_time_is_given_per_call(jail: Jail) -> None:
    used = [(await jail.call({"do": "work", "seconds": 0.4}))[0] for _ in range(6)]
    assert used == [{"survived": "work"}] * 6


async def test_the_lowest_rank_has_the_next_child() -> None:
    answered = []
    async with Jail(children=1, target="support.inmates:behave", limits=LIMITS) as jail:

        async def ask(rank: int) -> None:
            await jail.call({"do": "echo"}, rank=rank)
            answered.append(rank)

        await asyncio.gather(*map(ask, [7, 3, 2, 1]))
    assert answered == [7, 1, 2, 3]


async def test_neighbours_in_flight_are_unharmed(jail: Jail) -> None:
    async def neighbour() -> int:
        answers = [await jail.call({"do": "echo"}, bytes([number]) * 100_000) for number in range(50)]
        return sum(bytes(blobs[0]) == bytes([number]) * 100_000 for number, (_, blobs) in enumerate(answers))

    async def criminal() -> int:
        caught = 0
        for crime in ("memory", "exit", "segfault", "kill"):
            try:
                await jail.call({"do": crime, "status": 1})
            except ChildError:
                caught += 1
        return caught

    unharmed, caught = await asyncio.gather(neighbour(), criminal())
    assert (unharmed, caught) == (50, 4)


async def test_killed_from_outside_is_replaced(jail: Jail) -> None:
    header, _ = await jail.call({"do": "pid"})
    asleep = asyncio.create_task(jail.call({"do": "sleep"}))
    await asyncio.sleep(0)
    os.kill(header["pid"], signal.SIGKILL)
    with pytest.raises(ChildDiedError) as died:
        await asleep
    assert died.value.reason == "killed"
    assert (await jail.call({"do": "pid"}))[0]["pid"] != header["pid"]


async def test_talking_out_of_turn_ends_the_child(jail: Jail) -> None:
    header, _ = await jail.call({"do": "pid"})
    fd = next(int(each) for each in os.listdir(f"/proc/{header['pid']}/fd") if int(each) > 2)  # noqa: PTH208
    with pytest.raises(ChildDiedError) as died:
        await jail.call({"do": "garbage", "fd": fd})
    assert died.value.reason == "exit"
