"""What every engine under test needs: a place for downloads, a port, and a process that starts, stops and dies."""

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

# Below those that Linux hands to clients: while an engine is down, nobody's connection may sit on its port.
PORTS = range(20_000, 32_000)
STOPS_WITHIN_SECONDS = 20
ASK_EVERY_SECONDS = 0.05


def fetched(name: str, fetch: Callable[[Path], None]) -> Path:
    """Return the folder of this name in the cache; what is not there is fetched, once, whole or not at all.

    Args:
        name: With its version, such as ``kafka-4.3.1``.
        fetch: Fills an empty folder. What it raises fails the tests, saying why.
    """
    cache = Path(os.environ.get("GALLERY_TEST_ENGINES", "~/.cache/smart-gallery-engines")).expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / name
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = cache / f"{name}.{uuid4().hex}"
            unfinished.mkdir()
            try:
                fetch(unfinished)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def tool(name: str, *, needed: str) -> str:
    """Return where a program of this machine is.

    Args:
        name: As typed.
        needed: What for, such as ``to run Kafka``.

    Raises:
        RuntimeError: It is not on PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not on PATH; tests of engines need it {needed}")
    return found


def free_port() -> int:
    """Return a port on loopback that nobody listens on now; a restarted engine finds it free again."""
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


def port_of(url: str) -> int:
    """Return the port that a URL names."""
    port = urlsplit(url).port
    assert port is not None, f"{url} names no port"
    return port


class EngineProcess:
    """A server with its children, in a process group of its own. It dies with the thread that started it.

    Args:
        command: With an absolute path, or found on PATH. It must stay in the foreground.
        log: Gets everything that it writes, over all starts.
        environment: Beside our own.
    """

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        # However pytest ends, the engine gets the word; start it from a thread that lives as long as it should.
        self._command = ["setpriv", "--pdeathsig", "TERM", *command]
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again; `wait_until` says when it serves."""
        assert self._process is None, "it runs"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def revive(self) -> bool:
        """Start it again if it has ended by itself, as a service manager does; whether it had."""
        if self._process is None or self._process.poll() is None:
            return False
        self._process = None
        self.start()
        return True

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], *, within_seconds: float) -> None:
        """Ask until it is ready; blocks, so call it in a thread where a loop must go on.

        Raises:
            RuntimeError: It ended or took too long; the end of its log is in the message.
        """
        deadline = time.monotonic() + within_seconds
        while not ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                told = self._log.read_text(errors="replace")[-4000:]
                raise RuntimeError(f"{self._command[3]} {'ended' if ended else 'is not ready'}:\n{told}")
            time.sleep(ASK_EVERY_SECONDS)

    def stop(self) -> None:
        """End it politely, and without mercy if it does not listen; one that does not run is fine."""
        if self._process is None:
            return
        self._send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOPS_WITHIN_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it as a crash does: no time for a last word, nothing written any more when this returns."""
        if self._process is not None:
            self._send(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Keep it from running until `resume`: to others it hangs."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def answers(url: str, *, within_seconds: float) -> bool:
    """Whether a GET is answered with 200; cheap, for it is asked again and again while a server needs the machine."""
    place = urlsplit(url)
    connection = HTTPConnection(place.netloc, timeout=within_seconds)
    with suppress(OSError, HTTPException), closing(connection):
        connection.request("GET", f"{place.path}?{place.query}")
        return connection.getresponse().status == HTTPStatus.OK
    return False


def listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with closing(socket.socket()) as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
