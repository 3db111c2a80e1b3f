"""What can go wrong at the gateway itself; the class says whose turn it is."""

from gallery.runtime.errors import GalleryError, PermanentError


class BadFormError(PermanentError):
    """The body is no multipart form as the API describes it: the client has to change it."""


class TokenFileError(GalleryError):
    """The owner's token cannot be kept in the data folder; the sentence says why."""
