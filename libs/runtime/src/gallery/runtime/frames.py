"""What passes between a process and its child: a JSON header and raw blobs.

A frame is ``length of header | number of blobs | length of each blob | header | blobs``, every length four bytes, big
endian. Never pickle: a child that decodes hostile files may be hostile itself, so the reader checks every length
before it believes it. Only the standard library is imported here, which keeps children small.
"""

import json
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from numpy.typing import NDArray

    Blob = ReadableBuffer | NDArray[Any]
    """Contiguous bytes. Before Python 3.12 the types do not know that arrays are buffers."""

HEADER_LIMIT = 4 << 20
"""Bytes of JSON; what is larger belongs into a blob."""
BLOBS_LIMIT = 4096
"""Blobs of one frame."""
TOTAL_LIMIT = 1 << 30
"""Bytes of all blobs of one frame: a 48-megapixel picture has 144 MB of pixels."""

_START = struct.Struct(">II")
# Below this, one copy costs less than another system call.
_JOIN_BELOW = 64 << 10


class FrameError(Exception):
    """The other side does not speak frames, or stopped in the middle of one."""


class ChildRefusal(Exception):  # noqa: N818 - a verdict on the input and not a fault
    """The child looked at its input and turned it down, such as a picture that cannot be decoded.

    Attributes:
        code: Stable name in snake case.
        detail: One sentence for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def send(sock: socket.socket, header: dict[str, Any], blobs: Sequence["Blob"] = ()) -> None:
    """Write one frame to a blocking socket, copying no large blob.

    Raises:
        FrameError: It breaks a limit; nothing was sent.
        OSError: The other side is gone.
    """
    views = [_flat(blob) for blob in blobs]
    text = json.dumps(header, separators=(",", ":")).encode()
    _check(len(text), [view.nbytes for view in views])
    start = b"".join(
        (_START.pack(len(text), len(views)), *(struct.pack(">I", view.nbytes) for view in views), text),
    )
    if sum(view.nbytes for view in views) < _JOIN_BELOW:
        sock.sendall(b"".join((start, *views)))
        return
    sock.sendall(start)
    for view in views:
        sock.sendall(view)


class Receiver:
    """Reads frames from a blocking socket.

    Args:
        sock: Where from.
        reuse: Hand out views of one buffer that the next frame overwrites. It saves the kernel from clearing fresh
            pages for every large blob, a third of the cost of receiving one.
    """

    def __init__(self, sock: socket.socket, *, reuse: bool = False) -> None:
        self._sock = sock
        self._reuse = reuse
        self._room = bytearray()

    def receive(self) -> tuple[dict[str, Any], list[memoryview]] | None:
        """Wait for a frame; None when the other side closed between frames.

        Raises:
            FrameError: Not a frame of ours, over a limit, or cut off.
            OSError: The connection broke.
        """
        start = bytearray(_START.size)
        if not self._fill(memoryview(start), may_end=True):
            return None
        size, count = _START.unpack(start)
        _check(size, [0] * min(count, BLOBS_LIMIT + 1))
        head = bytearray(4 * count + size)
        self._fill(memoryview(head))
        lengths = struct.unpack_from(f">{count}I", head)
        _check(size, lengths)
        header = _parse(head[4 * count :])
        blobs = self._take(sum(lengths))
        self._fill(blobs)
        ends = [sum(lengths[: number + 1]) for number in range(count)]
        return header, [blobs[end - length : end] for end, length in zip(ends, lengths, strict=True)]

    def _take(self, size: int) -> memoryview:
        if not self._reuse:
            return memoryview(bytearray(size))
        if size > len(self._room):
            self._room = bytearray(size)
        return memoryview(self._room)[:size]

    def _fill(self, view: memoryview, *, may_end: bool = False) -> bool:
        done = 0
        while done < view.nbytes:
            got = self._sock.recv_into(view[done:], view.nbytes - done, socket.MSG_WAITALL)
            if got == 0:
                if may_end and done == 0:
                    return False
                raise FrameError("the connection ended in the middle of a frame")
            done += got
        return True


def _flat(blob: "Blob") -> memoryview:
    view = memoryview(cast("ReadableBuffer", blob))
    return view.cast("B") if view.nbytes else memoryview(b"")


def _check(header: int, blobs: Sequence[int]) -> None:
    if header > HEADER_LIMIT or len(blobs) > BLOBS_LIMIT or sum(blobs) > TOTAL_LIMIT:
        raise FrameError(f"a frame over the limit: header {header} bytes, {len(blobs)} blobs of {sum(blobs)} bytes")


def _parse(text: bytearray) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameError("a header that is not JSON") from error
    if not isinstance(header, dict):
        raise FrameError("a header that is not an object")
    return header
