"""Which vectors can be compared, and where they are kept; the same in every index."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gallery.ports.vectors import BadVectorError, Vector

_COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Below this, the direction of a float32 vector is noise.
_SHORTEST = 1e-6


def checked_collection(name: str) -> str:
    """Return the name of a collection if it is one; it also names a folder.

    Raises:
        ValueError: It is not.
    """
    if not _COLLECTION.fullmatch(name):
        raise ValueError(f"not a collection name: {name!r}")
    return name


def stacked(vectors: Sequence[Vector], *, dimension: int) -> NDArray[np.float32]:
    """Put vectors into one matrix of shape (number, dimension), each scaled to length 1.

    Raises:
        BadVectorError: One has another dimension, is not finite, or is zero. Engines accept such vectors and then
            answer nonsense.
    """
    for vector in vectors:
        if vector.shape != (dimension,):
            raise BadVectorError(f"a vector of shape {vector.shape} where {dimension} numbers are kept")
    matrix = np.asarray(vectors, dtype=np.float32).reshape(len(vectors), dimension)
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise BadVectorError("a vector with numbers that are not finite")
    if (lengths < _SHORTEST).any():
        raise BadVectorError("a vector of length zero has no direction")
    return np.ascontiguousarray(matrix / lengths, dtype=np.float32)
