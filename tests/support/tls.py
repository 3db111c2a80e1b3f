"""A certificate for loopback, and a front that speaks TLS before a server that does not."""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

STARTS_WITHIN_SECONDS = 10
_PIECE = 64 << 10


@dataclass(frozen=True)
class Certificate:
    """One for 127.0.0.1 that has signed itself, so that it is its own authority.

    Attributes:
        certificate: File, PEM.
        key: File, PEM.
        both: File with the key and the certificate, PEM.
    """

    certificate: Path
    key: Path
    both: Path


def certificate(folder: Path) -> Certificate:
    """Make one; it is good for a day."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificate(folder / "certificate.pem", folder / "key.pem", folder / "both.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=engine"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(made.certificate), "-keyout", str(made.key)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    made.both.write_bytes(made.key.read_bytes() + made.certificate.read_bytes())
    return made


@contextmanager
def encrypted(server_port: int, shown: Certificate) -> Iterator[int]:
    """Carry connections to a server on loopback, TLS on the outer side; yields the port."""
    started: list[int] = []
    ready, end = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_carry(server_port, shown, started, ready, end))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(STARTS_WITHIN_SECONDS), "the front did not start"
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(STARTS_WITHIN_SECONDS)


async def _carry(
    server_port: int, shown: Certificate, started: list[int], ready: threading.Event, end: asyncio.Event
) -> None:
    serving: set[asyncio.Task[None]] = set()

    def accept(requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(server_port, requests, client))
        serving.add(task)
        task.add_done_callback(serving.discard)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.certificate, shown.key)
    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    started.append(listener.sockets[0].getsockname()[1])
    ready.set()
    await end.wait()
    listener.close()
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


async def _serve(server_port: int, requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    answers, server = await asyncio.open_connection("127.0.0.1", server_port)
    ways = [asyncio.create_task(_pump(requests, server)), asyncio.create_task(_pump(answers, client))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for end in (server, client):
            end.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(_PIECE):
            sink.write(piece)
            await sink.drain()
