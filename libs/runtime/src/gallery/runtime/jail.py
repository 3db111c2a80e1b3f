"""A pool of locked-up child processes for work on input that nobody trusts, such as decoding photos."""

from typing import TYPE_CHECKING, Any, Self

from gallery.runtime.children import Answer, Child
from gallery.runtime.limits import Limits
from gallery.runtime.pool import Pool

if TYPE_CHECKING:
    from gallery.runtime.frames import Blob

__all__ = ["Jail", "Limits"]


class Jail:
    """So many children that answer calls side by side, each within its limits.

    A child that breaks a limit is killed and replaced; the calls in the others go on. `gallery.runtime.limits` says
    what is prevented and what is not.

    Args:
        children: How many; one per core is right for decoding.
        target: ``package.module:function``, with the signature of `gallery.runtime.child.Target`.
        limits: For each call.
    """

    def __init__(self, *, children: int, target: str, limits: Limits) -> None:
        self._limits = limits
        self._children = [Child(target, limits=limits) for _ in range(children)]
        # It lends the one used last first, whose memory is warm.
        self._pool = Pool(self._children)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def call(self, header: dict[str, Any], *blobs: "Blob", rank: int = 0) -> Answer:
        """Wait for a free child, ask it, and return its answer.

        Args:
            header: Anything JSON can say.
            blobs: Bytes-like, contiguous; not copied.
            rank: Of the calls that wait for a child, the lowest goes first; among equals, the oldest.

        Raises:
            ChildRefusal: The function turned its input down.
            ChildDiedError: The child broke its memory or CPU limit, crashed, or was killed from outside (``reason``).
            ChildTimeoutError: It took longer than the wall limit.
            ChildFailedError: The function has a fault.
        """
        async with self._pool.lent(rank=rank) as child:
            return await child.request(header, *blobs, timeout=self._limits.wall)

    async def close(self) -> None:
        """End all children."""
        for child in self._children:
            await child.close()
