"""The proxy does the harm that it is told to, or tests behind it prove nothing."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import pytest_asyncio
from support.engines.process import free_port
from support.tcp_faults import Cut, TcpFaults


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(1000):
            writer.write(piece)
            await writer.drain()
        writer.write(b"bye")
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest_asyncio.fixture
async def server_port() -> AsyncIterator[int]:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def link(server_port: int) -> Iterator[TcpFaults]:
    with TcpFaults(server_port) as link:
        yield link


@asynccontextmanager
async def connected(link: TcpFaults) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def first_answer(link: TcpFaults) -> bytes:
    async with connected(link) as (reader, writer):
        writer.write(b"1")
        return await reader.readexactly(1)


async def test_a_good_link_carries_bytes_and_ends(link: TcpFaults) -> None:
    content = bytes(range(256)) * 2000
    async with connected(link) as (reader, writer):
        writer.write(content)
        writer.write_eof()
        assert await reader.read(-1) == content + b"bye"
    assert link.connections == 1


async def test_cut_after_so_many_bytes_and_then_well_again(link: TcpFaults) -> None:
    link.down.cut_after(3)
    async with connected(link) as (reader, writer):
        writer.write(b"12345")
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
    async with connected(link) as (reader, writer):
        writer.write(b"12345")
        assert await reader.readexactly(5) == b"12345"


async def test_cut_again_and_again(link: TcpFaults) -> None:
    link.up.cut_after(again=itertools.repeat(10))
    for _ in range(3):
        async with connected(link) as (reader, writer):
            writer.write(b"x" * 10)
            with pytest.raises(ConnectionResetError):
                await reader.read(-1)


async def test_half_closed_the_answers_still_come(link: TcpFaults) -> None:
    link.up.cut = Cut.HALF_CLOSE
    link.up.cut_after(3)
    async with connected(link) as (reader, writer):
        writer.write(b"12345")
        assert await reader.read(-1) == b"123bye"


@pytest.mark.parametrize("by_cut", [True, False])
async def test_silence_keeps_the_connection(link: TcpFaults, *, by_cut: bool) -> None:
    if by_cut:
        link.down.cut = Cut.SILENCE
        link.down.cut_after(0)
    else:
        link.down.silent = True
    async with connected(link) as (reader, writer):
        writer.write(b"12345")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        assert not reader.at_eof()


async def test_latency_delays(link: TcpFaults) -> None:
    link.up.latency = timedelta(milliseconds=100)
    async with connected(link) as (reader, writer):
        begun = asyncio.get_running_loop().time()
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        assert asyncio.get_running_loop().time() - begun >= 0.1


async def test_reset_now_refuse_and_heal(link: TcpFaults) -> None:
    async with connected(link) as (reader, writer):
        writer.write(b"1")
        await reader.readexactly(1)
        link.reset()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
    link.refusing = True
    with pytest.raises(ConnectionResetError):
        await first_answer(link)
    link.heal()
    assert await first_answer(link) == b"1"


async def test_a_server_that_is_down_is_a_reset() -> None:
    with TcpFaults(free_port()) as link, pytest.raises(ConnectionResetError):
        await first_answer(link)


async def test_a_busy_front_answers_in_place_of_the_server(link: TcpFaults) -> None:
    link.up.answer = b"come back later"
    for _ in range(2):
        async with connected(link) as (reader, writer):
            writer.write(b"x" * 200_000)
            assert await reader.read(-1) == b"come back later"
    link.heal()
    assert await first_answer(link) == b"1"
