"""Functions that run in child processes of tests, well-behaved ones and others."""

import ctypes
import importlib
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gallery.runtime.frames import ChildRefusal


def behave(header: dict[str, Any], blobs: list[memoryview]) -> tuple[dict[str, Any], Sequence[bytes | memoryview]]:
    """Do what the header says, good or bad."""
    match header["do"]:
        case "echo":
            return header, blobs
        case "pid":
            return {"pid": os.getpid(), "parent": os.getppid()}, []
        case "refuse":
            raise ChildRefusal("undecodable", "not a picture")
        case "fail":
            raise ValueError("a fault of ours")
        case "environment":
            return dict(os.environ), []
        case other:
            return misbehave(other, header)


def misbehave(  # noqa: C901, PLR0912 - a list of crimes
    what: str, header: dict[str, Any]
) -> tuple[dict[str, Any], list[bytes]]:
    """Break one rule."""
    match what:
        case "memory":
            hoard = [bytearray(50 << 20) for _ in range(1000)]
            return {"got": len(hoard)}, []
        case "memory of a library":
            raise RuntimeError("OpenCV(5.0.0) error: (-4:Insufficient memory) Failed to allocate 8000000000 bytes")
        case "work":
            end = time.process_time() + float(header["seconds"])
            while time.process_time() < end:
                pass
        case "spin":
            while True:
                pass
        case "sleep":
            time.sleep(3600)
        case "exit":
            os._exit(int(header["status"]))
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "read":
            return {"loot": Path(header["path"]).read_text()}, []
        case "remove":
            Path(header["path"]).unlink()
        case "import":
            return {"imported": importlib.import_module(header["module"]).__name__}, []
        case "execute":
            os.execv("/bin/true", ["true"])  # noqa: S606 - the very thing
        case "write":
            Path(header["path"]).write_bytes(b"loot")
        case "connect":
            with socket.create_connection(("127.0.0.1", int(header["port"])), timeout=5):
                pass
        case "datagram":
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                sender.sendto(b"loot", ("127.0.0.1", int(header["port"])))
        case "garbage":
            os.write(int(header["fd"]), b"\xff" * 4096)
            time.sleep(3600)
    return {"survived": what}, []
