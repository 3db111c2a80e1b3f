"""The one rule for the names of blobs, the same in every store."""

import re

_KEY = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,200}(?:/[A-Za-z0-9._-]{1,200})*")
# What S3 allows; file systems allow more.
_LONGEST = 1024


def checked_key(key: str) -> str:
    """Return the key if it is one: segments of ASCII letters, digits, ``-``, ``_``, ``.`` joined by ``/``.

    Raises:
        ValueError: It is not; ``.`` and ``..`` are no segments.
    """
    if len(key) > _LONGEST or not _KEY.fullmatch(key):
        raise ValueError(f"not a blob key: {key!r}")
    return key
