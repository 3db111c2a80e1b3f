"""A TCP proxy on loopback whose faults are switched while it runs: slow, silent, cut, half closed, refusing, busy."""

import asyncio
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Self

PATIENCE_SECONDS = 10
_PIECE = 64 << 10
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Cut(Enum):
    """What a cut does: both ends get a reset, the one way ends politely, or the one way falls silent for ever."""

    RESET = "reset"
    HALF_CLOSE = "half close"
    SILENCE = "silence"


@dataclass
class Way:
    """The bytes that go one way, over all connections. Set its attributes at any time.

    Attributes:
        latency: Each piece of up to 64 KiB comes so much later.
        silent: Bytes vanish, the connections stay.
        cut: What happens at a cut.
        answer: Whoever sends something is told this and nothing else, as a front of a busy server does.
    """

    latency: timedelta = timedelta(0)
    silent: bool = False
    cut: Cut = Cut.RESET
    answer: bytes | None = None
    _left: int | None = field(default=None, init=False)
    _cuts: Iterator[int] = field(default=iter(()), init=False)

    def cut_after(self, *sizes: int, again: Iterable[int] = ()) -> None:
        """Cut the connection that carries the last of so many bytes; then count anew to the next size, if there is one.

        ``cut_after(0)`` cuts at the next byte, ``cut_after(again=itertools.repeat(1_000_000))`` again and again.
        """
        self._cuts = itertools.chain(sizes, again)
        self._left = next(self._cuts, None)

    def passing(self, size: int) -> int | None:
        """Count so many bytes; return how many of them pass before a cut, None where there is none."""
        if self._left is None or size < self._left:
            self._left = None if self._left is None else self._left - size
            return None
        before, self._left = self._left, next(self._cuts, None)
        return before


class TcpFaults:
    """Carries connections to a server on loopback, in a thread of its own, as long as the ``with`` block is open.

    Attributes:
        port: Connect here.
        up: From client to server.
        down: From server to client.
        refusing: Connections are reset as soon as they are made.
        connections: How many were made so far.
    """

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self.up = Way()
        self.down = Way()
        self.refusing = False
        self.connections = 0
        self._server_port = server_port
        self._open: set[_Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._end = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE_SECONDS), "the proxy did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE_SECONDS)

    def reset(self) -> None:
        """Reset every connection, now."""
        self._loop.call_soon_threadsafe(self._reset)

    def heal(self) -> None:
        """Be a good link from now on; what is cut stays cut."""
        self.up, self.down, self.refusing = Way(), Way(), False

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        listener.close()
        self._reset()
        await asyncio.gather(*self._serving)

    def _reset(self) -> None:
        for connection in self._open:
            connection.reset()

    def _accept(self, requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(requests, client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            if self.refusing:
                raise ConnectionRefusedError
            answers, server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            _reset(client)
            return
        connection = _Connection(client, server)
        self._open.add(connection)
        try:
            await asyncio.gather(
                connection.carry(requests, server, lambda: self.up),
                connection.carry(answers, client, lambda: self.down),
            )
        finally:
            self._open.remove(connection)
            client.close()
            server.close()


class _Connection:
    """Two sockets, one to each end."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self._ends = ends

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way_now: Callable[[], Way]) -> None:
        """Carry one way, to its end or the first cut."""
        with suppress(OSError):
            while piece := await source.read(_PIECE):
                way = way_now()
                await asyncio.sleep(way.latency.total_seconds())
                if way.silent:
                    continue
                if way.answer is not None:
                    await self._turn_away(source, sink, way.answer)
                    return
                passing = way.passing(len(piece))
                sink.write(piece[:passing])
                await sink.drain()
                if passing is not None:
                    await self._cut(way.cut, source, sink)
                    return
            sink.write_eof()

    def reset(self) -> None:
        """Let both ends see a reset."""
        for end in self._ends:
            _reset(end)

    async def _turn_away(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, answer: bytes) -> None:
        """Answer in place of the other end, and read what still comes: else a reset would overtake the answer."""
        sink.close()
        (asker,) = (end for end in self._ends if end is not sink)
        asker.write(answer)
        asker.write_eof()
        while await source.read(_PIECE):
            pass

    async def _cut(self, cut: Cut, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        if cut is Cut.RESET:
            self.reset()
            return
        if cut is Cut.HALF_CLOSE:
            sink.write_eof()
        while await source.read(_PIECE):
            pass


def _reset(end: asyncio.StreamWriter) -> None:
    if not end.is_closing():
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        end.transport.abort()
