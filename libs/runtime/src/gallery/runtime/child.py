"""Inside a child process: ``python -m gallery.runtime.child MODULE:FUNCTION FD PARENT [LIMITS]``.

Loads the function, locks itself up when limits are given, and answers frames one after the other until its parent
closes the socket. Only what is needed is imported: a child's memory is paid once per child.
"""

import ctypes
import importlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gallery.runtime.frames import ChildRefusal, Receiver, send
from gallery.runtime.limits import Limits, isolate, lock, renew

if TYPE_CHECKING:
    from gallery.runtime.frames import Blob

Target = Callable[[dict[str, Any], list[memoryview]], tuple[dict[str, Any], Sequence["Blob"]]]

OUT_OF_MEMORY = 86
"""Exit status that tells the parent why; no interpreter or library uses it."""

# How C++ libraries, OpenCV and the system say it.
_NO_MEMORY = ("bad_alloc", "Insufficient memory", "Cannot allocate memory")
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Run until the parent closes the socket or is gone."""
    target, fd, parent, *rest = arguments
    _die_with(int(parent))
    sock = socket.socket(fileno=int(fd))
    limits = Limits.from_text(rest[0]) if rest else None
    try:
        if limits:
            isolate()
        function = _load(target)
        if limits:
            lock(limits)
    except Exception:  # noqa: BLE001 - the parent raises it, with this text
        send(sock, {"failed": traceback.format_exc(limit=-3)})
        return
    send(sock, {"ready": True})
    _answer_all(sock, function, limits)


def _die_with(parent: int) -> None:
    """Be killed when the thread that started us ends; leave at once if that has happened already (prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _load(target: str) -> Target:
    module, _, name = target.partition(":")
    function: Target = getattr(importlib.import_module(module), name)
    return function


def _answer_all(sock: socket.socket, function: Target, limits: Limits | None) -> None:
    receiver = Receiver(sock, reuse=True)
    try:
        while (frame := receiver.receive()) is not None:
            if limits:
                renew(limits)
            header, blobs = _answer(function, *frame)
            send(sock, header, blobs)
            del frame, header, blobs
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except ConnectionError:
        return  # the parent is gone or has no use for the answer


def _answer(
    function: Target, header: dict[str, Any], blobs: list[memoryview]
) -> tuple[dict[str, Any], Sequence["Blob"]]:
    try:
        answer, answer_blobs = function(header, blobs)
    except ChildRefusal as refusal:
        return {"refused": {"code": refusal.code, "detail": refusal.detail}}, ()
    except Exception as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError from error
        # A fault of the function; the parent raises it.
        return {"failed": "".join(traceback.format_exception(error, limit=-3))}, ()
    return {"done": answer}, answer_blobs


if __name__ == "__main__":
    main(sys.argv[1:])
