"""Errors of the runtime; the class says what to do."""


class GalleryError(Exception):
    """Every error that this product raises on purpose; its sentence is for people."""


class TransientError(GalleryError):
    """It may work later without anybody doing anything: try again, a bounded number of times."""


class PermanentError(GalleryError):
    """It will never work for this message: to the dead letters at once."""


class MalformedMessageError(PermanentError):
    """The payload is empty or not of the type that its header names."""


class ParkedBehindError(PermanentError):
    """One before it of the same key failed; it waits, so that the order holds."""


class AlreadyHandledError(GalleryError):
    """This event's effects are there; the loop counts it as done."""


class ConsumerStoppedError(GalleryError):
    """Most messages fail; see the dead letters, mend the cause, start again and replay."""


class UnfitEngineError(GalleryError):
    """An engine is missing, too old, lacks something, or has something of another's under our name.

    The sentence says which, what is needed and how to get it; nothing there was touched.
    """


class LeaseLostError(GalleryError):
    """The lease ran out and the work is another's: drop the results, the transaction must not commit."""


class DatabaseError(GalleryError):
    """The embedded database cannot be had; the sentence says what to do."""


class DatabaseInUseError(DatabaseError):
    """Another server runs on this folder."""


class DatabaseCorruptError(DatabaseError):
    """The folder is not a database that this version can open."""


class DatabaseNoSpaceError(DatabaseError):
    """There is no room; nothing of what is there was harmed."""
