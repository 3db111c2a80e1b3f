"""Rendering in jailed children: a file made to harm ends as a rejection, not as a dead worker."""

from datetime import timedelta
from typing import Any

import numpy as np

from gallery.ml_worker.domain import Measures, Original, Rendering
from gallery.ml_worker.errors import DecoderDiedError, RejectedError
from gallery.runtime.children import ChildDiedError, ChildFailedError, ChildRefusal, ChildTimeoutError
from gallery.runtime.jail import Jail
from gallery.runtime.limits import Limits

TARGET = "gallery.ml_worker.media.child:render"

LIMITS = Limits(memory=512 << 20, cpu=timedelta(seconds=10), wall=timedelta(seconds=10))
"""For one file. A photo of 48 megapixels in HEIC needs 350 MiB and 2 s."""


class JailedRenderer:
    """Renders in the children of a jail."""

    def __init__(self, jail: Jail, *, max_pixels: int) -> None:
        self._jail = jail
        self._max_pixels = max_pixels

    async def render(self, original: Original) -> Rendering:
        """Decode once and derive everything; see the port."""
        header = {"size": original.size, "max_pixels": self._max_pixels}
        try:
            facts, (preview, thumbnail, picture) = await self._jail.call(header, original.head, original.tail)
        except ChildRefusal as error:
            raise RejectedError(error.code, error.detail) from error
        except ChildTimeoutError as error:
            raise RejectedError("decode_timeout", "decoding took longer than any photo needs") from error
        except ChildDiedError as error:
            raise _died(error) from error
        except ChildFailedError as error:
            raise DecoderDiedError("the decoder has a fault") from error
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
    )
