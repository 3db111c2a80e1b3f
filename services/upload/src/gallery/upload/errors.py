"""What can go wrong with an upload; the class says whose turn it is."""

from gallery.runtime.errors import PermanentError, TransientError


class UploadRefusedError(PermanentError):
    """The file is the reason: sending the same bytes again will not help."""


class UnsupportedTypeError(UploadRefusedError):
    """By its content it is none of the photo and video types that are taken in."""


class EmptyFileError(UploadRefusedError):
    """It has no bytes."""


class TooLargeError(UploadRefusedError):
    """It has more bytes than the setting ``largest_file`` allows."""


class ChecksumMismatchError(UploadRefusedError):
    """The bytes that came are not those the client announced: damaged on the way, or changed since."""


class BadClaimError(UploadRefusedError):
    """What the client says about the file cannot be read: a file name, digest, lane or time."""


class QuotaReachedError(UploadRefusedError):
    """The library may not hold so much. Works again once its quota is raised, or something is deleted."""


class UnknownPhotoError(PermanentError):
    """There is no photo of this id in this library."""


class StorageFullError(TransientError):
    """No room left; nothing was stored. Works again once there is space."""


class StorageAwayError(TransientError):
    """The store does not answer, or not as it should; nothing was stored. Works again once somebody mended it."""


class IntentLostError(TransientError):
    """The upload was taken for abandoned, since its process lost its database session. Sending it again works."""
