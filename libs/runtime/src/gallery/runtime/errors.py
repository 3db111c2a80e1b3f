"""Errors of the runtime; the class says what to do."""


class GalleryError(Exception):
    """Every error that this product raises on purpose; its sentence is for people."""


class TransientError(GalleryError):
    """It may work later without anybody doing anything: try again, a bounded number of times."""


class PermanentError(GalleryError):
    """It will never work for this message: to the dead letters at once."""
