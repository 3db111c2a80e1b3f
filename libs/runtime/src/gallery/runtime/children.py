"""Child processes that answer requests: for what must not hold up, crash or outlive the process that serves."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from gallery.runtime import metrics
from gallery.runtime.child import OUT_OF_MEMORY
from gallery.runtime.frames import ChildRefusal, FrameError, Receiver, send
from gallery.runtime.limits import Limits
from gallery.runtime.logs import get_logger

if TYPE_CHECKING:
    from gallery.runtime.frames import Blob

__all__ = [
    "Child",
    "ChildDiedError",
    "ChildError",
    "ChildFailedError",
    "ChildRefusal",
    "ChildTimeoutError",
]

log = get_logger(__name__)

Answer = tuple[dict[str, Any], list[memoryview]]
Reason = Literal["killed", "memory", "cpu", "exit"]
REASONS = (*get_args(Reason), "timeout")
"""Why a child may end during a request."""

# Loading a heavy library on a busy machine takes seconds; beyond this something hangs.
_START = timedelta(seconds=60)
# A child closes its files when its socket closes; one that does not is killed.
_STOP = timedelta(seconds=5)
# One that sends nonsense may be dying, which says why, or hostile.
_REMORSE = timedelta(milliseconds=500)
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class ChildError(Exception):
    """A request to a child process came to nothing."""


class ChildDiedError(ChildError):
    """The child ended during the request; the next request gets a new one.

    Attributes:
        reason: ``killed``: a signal from outside, the request is not to blame and may be tried again. ``memory``,
            ``cpu``: over its limit. ``exit``: ended or crashed by itself.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"the child process ended ({reason}): {detail}")
        self.reason = reason


class ChildTimeoutError(ChildError):
    """No answer in time; the child was killed, the next request gets a new one."""


class ChildFailedError(ChildError):
    """The function raised something that is not a `ChildRefusal`, or could not be loaded: our fault."""


class Child:
    """One child process that runs ``python -m gallery.runtime.child TARGET`` and answers one request at a time.

    It is started by the first request and again by the next one after it ended. It dies with the thread that started
    it, so use it from the main thread's event loop. Its environment holds only what `_environment` names.

    Args:
        target: ``package.module:function``, with the signature of `gallery.runtime.child.Target`.
        limits: Lock it up; see `gallery.runtime.limits`.
    """

    def __init__(self, target: str, *, limits: Limits | None = None) -> None:
        self.target = target
        self._limits = limits
        for reason in REASONS:
            metrics.CHILD_DEATHS.labels(target, reason)  # a series that begins with its first death does not grow by it
        self._turn = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._receiver: Receiver | None = None
        # Blocking calls in a thread of its own move 5 MB in a few system calls; an event loop wakes up for each piece.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="child")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """Of the process that runs, if one does."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    async def request(self, header: dict[str, Any], *blobs: "Blob", timeout: timedelta) -> Answer:
        """Ask the function and wait for its answer. Cancelling kills the child, since it cannot be told to stop.

        Args:
            header: Anything JSON can say.
            blobs: Bytes-like, contiguous; not copied.
            timeout: For the function alone; starting the child is not counted.

        Raises:
            ChildRefusal: The function raised it.
            ChildDiedError: The child ended.
            ChildTimeoutError: It took too long.
            ChildFailedError: The function has a fault.
        """
        async with self._turn:
            await self._start()
            answer, answer_blobs = await self._watched(timeout, header, blobs)
        if "refused" in answer:
            raise ChildRefusal(str(answer["refused"]["code"]), str(answer["refused"]["detail"]))
        if "done" not in answer:
            raise ChildFailedError(f"{self.target} failed: {answer.get('failed')}")
        return answer["done"], answer_blobs

    async def close(self) -> None:
        """Let the child finish what it holds open, and end it."""
        async with self._turn:
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            if self._process is not None:
                await asyncio.to_thread(self._end, self._process, timedelta() if self._limits else _STOP)
        self._thread.shutdown()

    async def _start(self) -> None:
        if self.pid is not None:
            return
        self._reap()
        ours, theirs = socket.socketpair()
        arguments = [self.target, str(theirs.fileno()), str(os.getpid())]
        if self._limits:
            arguments.append(self._limits.to_text())
        with theirs:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - the thread that starts it must outlive it
                [sys.executable, "-P", "-m", "gallery.runtime.child", *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # What a jailed child says is not to be trusted in our log; the others share it.
                stdout=subprocess.DEVNULL if self._limits else 2,
                stderr=subprocess.DEVNULL if self._limits else 2,
                env=_environment(),
                start_new_session=True,
            )
        self._socket, self._receiver = ours, Receiver(ours)
        hello, _ = await self._watched(_START, None, ())
        if "ready" not in hello:
            raise ChildFailedError(f"{self.target} could not be loaded: {hello.get('failed')}")

    async def _watched(
        self,
        timeout: timedelta,
        header: dict[str, Any] | None,
        blobs: Sequence["Blob"],
    ) -> Answer:
        """Exchange frames in the thread; on timeout or cancellation kill the child, which ends the exchange."""
        exchange = asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, header, blobs)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await asyncio.shield(exchange)
        except ChildDiedError as error:
            metrics.CHILD_DEATHS.labels(self.target, error.reason).inc()
            raise
        except TimeoutError:
            metrics.CHILD_DEATHS.labels(self.target, "timeout").inc()
            raise ChildTimeoutError(f"{self.target} took more than {timeout.total_seconds():g} s") from None
        finally:
            if not exchange.done():
                self._kill()
                await asyncio.wait([exchange])
                exchange.exception()

    def _exchange(self, header: dict[str, Any] | None, blobs: Sequence["Blob"]) -> Answer:
        """Send a request (or nothing) and wait for a frame; runs in the child's thread."""
        assert self._socket is not None  # noqa: S101 - started
        assert self._receiver is not None  # noqa: S101 - started
        try:
            if header is not None:
                send(self._socket, header, blobs)
        except OSError:
            raise self._died("it does not listen") from None
        try:
            frame = self._receiver.receive()
        except OSError:
            frame = None
        except FrameError as error:
            self._socket.shutdown(socket.SHUT_RDWR)
            raise self._died(str(error), patience=_REMORSE) from error
        if frame is None:
            raise self._died("it closed its socket")
        return frame

    def _died(self, detail: str, *, patience: timedelta = _STOP) -> ChildDiedError:
        """Find out why it ended; end it if it has not."""
        assert self._process is not None  # noqa: S101 - started
        try:
            status = self._process.wait(patience.total_seconds())
        except subprocess.TimeoutExpired:
            self._kill()
            return ChildDiedError("exit", f"{detail}, and went on")
        if status == OUT_OF_MEMORY:
            return ChildDiedError("memory", "it used more memory than it may")
        if status >= 0:
            return ChildDiedError("exit", f"status {status}")
        reason: Reason = "killed" if -status in _FROM_OUTSIDE else "cpu" if -status == signal.SIGXCPU else "exit"
        return ChildDiedError(reason, signal.Signals(-status).name)

    def _kill(self) -> None:
        """Kill it and whatever it started; and end the exchange even if something still holds the socket."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _reap(self) -> None:
        if self._process is not None:
            log.info("child process ended", target=self.target, status=self._process.returncode)
            self._process = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @staticmethod
    def _end(process: subprocess.Popen[bytes], patience: timedelta) -> None:
        try:
            process.wait(patience.total_seconds())
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment() -> dict[str, str]:
    """What a child may know: where to find modules, and to use one thread, since there is a process per core."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
    kept = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        **dict.fromkeys(threads, "1"),
        # Not the folder we were started in, which `python -m` puts there: a jailed child may read what is on the path.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path not in {"", str(Path.cwd())}),
        "PYTHONUNBUFFERED": "1",
    }
