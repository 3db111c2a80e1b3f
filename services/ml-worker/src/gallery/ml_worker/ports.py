"""What looking at photos needs."""

from collections.abc import Sequence
from typing import Protocol

from gallery.ml_worker.domain import Original, Picture, Rendering, Seen


class Looker(Protocol):
    """Loaded models; slow and without waiting, so called in threads of their own, several at a time."""

    face_pack: str | None
    """Id of the face pack; None when faces are not looked for."""
    tag_pack: str | None
    """Id of the tag pack; None when there is none."""

    def look(self, pictures: Sequence[Picture]) -> Sequence[Seen]:
        """Look at several pictures at once; the answers stand in their order."""
        ...


class Renderer(Protocol):
    """Decodes files that may be made to harm."""

    async def render(self, original: Original, *, rank: int) -> Rendering:
        """Decode once and derive everything.

        Args:
            original: The file.
            rank: Of the files that wait for a decoder, the lowest goes first.

        Raises:
            RejectedError: The file can never be shown; its code says why.
            DecoderDiedError: The decoder ended for a reason that is not the file's: try again.
        """
        ...
