"""Whose certificates are believed."""

import ssl
from pathlib import Path

from gallery.runtime.settings import SettingsError


def trusting(authorities: Path | None, *, name: str) -> ssl.SSLContext:
    """Build what holds a server's certificate, and its name in it, against authorities.

    Args:
        authorities: File of certificates in PEM; None for the system's.
        name: Of the setting, for when the file cannot be read.

    Raises:
        SettingsError: It cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:  # an SSLError is one
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(f"{name}: {authorities} cannot be read as certificates ({reason})") from error
