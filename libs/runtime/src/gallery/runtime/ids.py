"""Identities that sort by the time they were made."""

from uuid import UUID

import uuid_utils.compat


def uuid7() -> UUID:
    """Make a UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then a counter and random bits.

    Ids made later in one process compare greater.
    """
    return uuid_utils.compat.uuid7()
