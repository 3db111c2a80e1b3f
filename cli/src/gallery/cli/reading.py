"""Reading the content of what was found, piece by piece."""

import hashlib
from collections.abc import Iterator

from gallery.cli.faults import FAULTS
from gallery.cli.found import Source

PIECE = 1 << 18
"""Bytes read at a time: larger ones gain nothing, smaller ones cost a system call each."""


class UnreadableSourceError(Exception):
    """A file could be found and not be read to its end."""


def pieces(source: Source) -> Iterator[bytes]:
    """Yield the content of a source.

    Raises:
        UnreadableSourceError: At any step.
    """
    try:
        with source.opened() as opened:
            while piece := opened.read(PIECE):
                yield piece
    except FAULTS as error:
        raise UnreadableSourceError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error


def digest(source: Source) -> str:
    """Return the SHA-256 of a source in hex, from memory where it is noted.

    Raises:
        UnreadableSourceError: It cannot be read.
    """
    if source.remembered and (noted := source.remembered.recall()):
        return noted
    found = hashlib.sha256()
    for piece in pieces(source):
        found.update(piece)
    if source.remembered:
        source.remembered.keep(found.hexdigest())
    return found.hexdigest()
