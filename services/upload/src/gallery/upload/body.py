"""The bytes of an original on their way in."""

import hashlib
from collections.abc import AsyncIterator

from gallery.runtime.media_types import HEAD
from gallery.upload.acceptance import allowed_size


class Body:
    """The bytes of one upload: looked at once at the front, counted, never held whole."""

    def __init__(self, chunks: AsyncIterator[bytes], *, largest: int) -> None:
        self._chunks = chunks
        self._largest = largest
        self._front = b""

    async def head(self) -> bytes:
        """Return the first bytes, at most ``HEAD``, fewer only when the file is shorter."""
        while len(self._front) < HEAD:
            try:
                self._front += await anext(self._chunks)
            except StopAsyncIteration:
                break
        return self._front[:HEAD]

    async def whole(self) -> AsyncIterator[bytes]:
        """Yield all of it, once.

        Raises:
            TooLargeError: As soon as it is longer than allowed.
        """
        size = allowed_size(len(self._front), largest=self._largest)
        yield self._front
        async for chunk in self._chunks:
            size = allowed_size(size + len(chunk), largest=self._largest)
            yield chunk

    async def digest(self) -> bytes:
        """Hash all of it without keeping anything."""
        digest = hashlib.sha256()
        async for chunk in self.whole():
            digest.update(chunk)
        return digest.digest()
