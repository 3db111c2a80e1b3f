"""The poster of a video: a frame about a second in, since first frames are often black."""

import io

import cv2
import numpy as np

from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.source import Decoded, PixelBudget

POSTER_AT_MS = 1000


class Parts(io.BufferedIOBase):
    """A file of which only the beginning and the end are here; what lies between reads as zeros.

    The first seconds of a video lie at its beginning, its index at either end, so a poster needs no more.
    """

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        super().__init__()
        self._head, self._tail, self._size = head, tail, size
        self._at = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """At most ``size`` bytes, fewer at the edge of a part."""
        wanted = self._size if size is None or size < 0 else self._at + size
        taken = self._slice(self._at, min(wanted, self._size))
        self._at += len(taken)
        return taken

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As ``io.IOBase.seek``."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, min(base + offset, self._size))
        return self._at

    def _slice(self, start: int, end: int) -> bytes:
        tail_at = self._size - len(self._tail)
        if end <= len(self._head):
            return self._head[start:end]
        if start >= tail_at:
            return self._tail[start - tail_at : end - tail_at]
        if start < len(self._head):
            return self._head[start:]
        return bytes(min(end, tail_at) - start)


def decode_video(head: bytes, tail: bytes, size: int, budget: PixelBudget) -> Decoded:
    """Decode one frame, turned upright as the file asks.

    Args:
        head: The first bytes of the file.
        tail: Its last bytes, where these are not in ``head``.
        size: Of the whole file.
        budget: For one frame.

    Raises:
        RejectedError: ``undecodable`` or ``too_many_pixels``.
    """
    reader = Parts(head, tail, size)
    options = [cv2.CAP_PROP_N_THREADS, 1]
    try:
        video = cv2.VideoCapture(reader, cv2.CAP_FFMPEG, options)  # type: ignore[call-overload]  # its stubs lag behind
        width, height = (int(video.get(prop)) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        budget.check(width, height)
        frame = _frame(video)
    except cv2.error as error:
        raise RejectedError("undecodable", "the video decoder gave up on it") from error
    if frame is None:
        raise RejectedError("undecodable", "it has no frame that can be decoded")
    return Decoded(frame, frame.shape[1], frame.shape[0])


def _frame(video: cv2.VideoCapture) -> np.ndarray | None:
    for position in (POSTER_AT_MS, 0):
        video.set(cv2.CAP_PROP_POS_MSEC, position)
        found, frame = video.read()
        if found and frame is not None and frame.size:
            return frame
    return None
