"""What can go wrong with an upload; the class says whose turn it is."""

from collections.abc import Sequence

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


class PlaceRefusedError(UploadRefusedError):
    """The original may not stay where it is; the sentence says who does not allow it."""


class PlaceUnreadableError(UploadRefusedError):
    """What was to stay where it is, is not there any more, or was replaced while it was read."""


class UnknownPhotoError(PermanentError):
    """There is no photo of this id in this library."""


class UnknownUploadError(PermanentError):
    """There is no direct upload of this id under way in this library: it was never begun, is over, or ran out."""


class NoDirectUploadsError(PermanentError):
    """The store of this gallery takes nothing from clients themselves."""


class PartsMissingError(TransientError):
    """The client has not sent all of it yet; the upload goes on.

    Attributes:
        numbers: Of the parts to send, ascending.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__("parts are missing: send them, then complete it again")
        self.numbers = tuple(numbers)


class StillCheckingError(TransientError):
    """Somebody else is completing or removing this upload right now."""


class StorageFullError(TransientError):
    """No room left; nothing was stored. Works again once there is space."""


class StorageAwayError(TransientError):
    """The store does not answer, or not as it should; nothing was stored. Works again once somebody mended it."""


class IntentLostError(TransientError):
    """The upload was taken for abandoned, since its process lost its database session. Sending it again works."""
