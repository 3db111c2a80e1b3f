"""Errors of the ML worker; the class says what to do."""

from gallery.runtime.errors import GalleryError, PermanentError, TransientError


class RejectedError(PermanentError):
    """The file is at fault and will be for ever; the photo keeps its original and this code.

    Attributes:
        code: Stable, such as ``undecodable`` or ``too_many_pixels``.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class OriginalGoneError(PermanentError):
    """The bytes are not there, or not what they were; whoever has them elsewhere may bring them back.

    Attributes:
        code: ``original_missing`` or ``original_changed``.
    """

    def __init__(self, code: str) -> None:
        super().__init__("the original is not there any more, or not what it was")
        self.code = code


class DecoderDiedError(TransientError):
    """The decoder ended for a reason that is not the file's, such as a kill from outside: try again."""


class UnknownPhotoError(GalleryError):
    """There is no photo of this id in this library, or it has not been looked at yet."""


class RuntimeUnavailableError(GalleryError):
    """What networks should run on is not here: install it, or set another runtime."""
