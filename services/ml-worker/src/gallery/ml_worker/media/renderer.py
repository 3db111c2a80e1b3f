"""Rendering in jailed children: a file made to harm ends as a rejection, not as a dead worker."""

from datetime import timedelta
from typing import Any

import numpy as np

from gallery.ml_worker.domain import Measures, Original, Rendering
from gallery.ml_worker.errors import DecoderDiedError, RejectedError
from gallery.runtime.children import ChildDiedError, ChildFailedError, ChildRefusal, ChildTimeoutError
from gallery.runtime.jail import Jail
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

TARGET = "gallery.ml_worker.media.child:render"

TIME_LIMIT = timedelta(seconds=10)
"""For one file, of the processor's time and of the clock's; a photo of 48 megapixels in HEIC needs 2 s."""

KILLS = 3
"""How often a decoder may be killed from outside before the photo waits for its next attempt."""


class JailedRenderer:
    """Renders in the children of a jail."""

    def __init__(self, jail: Jail, *, max_pixels: int) -> None:
        self._jail = jail
        self._max_pixels = max_pixels

    async def render(self, original: Original, *, rank: int = 0) -> Rendering:
        """Decode once and derive everything; see the port."""
        for _ in range(KILLS - 1):
            try:
                return await self._render(original, rank=rank)
            except DecoderDiedError:
                log.warning("a decoder died, starting another")
        return await self._render(original, rank=rank)

    async def _render(self, original: Original, *, rank: int) -> Rendering:
        header = {"size": original.size, "max_pixels": self._max_pixels}
        try:
            facts, blobs = await self._jail.call(header, original.head, original.tail, rank=rank)
        except ChildRefusal as error:
            raise RejectedError(error.code, error.detail) from error
        except ChildTimeoutError as error:
            raise RejectedError("decode_timeout", "decoding took longer than any photo needs") from error
        except ChildDiedError as error:
            raise _died(error) from error
        except ChildFailedError as error:
            raise DecoderDiedError("the decoder has a fault") from error
        preview, thumbnail, picture = blobs
        return _rendering(facts, preview=bytes(preview), thumbnail=bytes(thumbnail), picture=picture)


def _died(error: ChildDiedError) -> RejectedError | DecoderDiedError:
    match error.reason:
        case "killed":
            return DecoderDiedError("the decoder was killed from outside")
        case "memory":
            return RejectedError("decode_memory", "decoding needs more memory than any photo")
        case "cpu":
            return RejectedError("decode_timeout", "decoding needs more processor time than any photo")
        case "exit":
            return RejectedError("undecodable", "the decoder crashed on it")


def _rendering(facts: dict[str, Any], *, preview: bytes, thumbnail: bytes, picture: memoryview) -> Rendering:
    return Rendering(
        width=int(facts["width"]),
        height=int(facts["height"]),
        preview=preview,
        thumbnail=thumbnail,
        measures=Measures(**facts["measures"]),
        picture=np.frombuffer(picture, np.uint8).reshape(facts["shape"]),
        cpu_seconds=_believable(float(facts["cpu_seconds"])),
    )


def _believable(cpu_seconds: float) -> float:
    """What a child says of itself is worth no more than its limit; NaN is worth nothing."""
    return min(cpu_seconds, TIME_LIMIT.total_seconds()) if cpu_seconds > 0 else 0.0
