"""What is answered when something goes wrong with an upload."""

from collections.abc import Iterator
from contextlib import contextmanager

from gallery.runtime.http import ProblemError
from gallery.upload.errors import (
    BadClaimError,
    ChecksumMismatchError,
    EmptyFileError,
    IntentLostError,
    NoDirectUploadsError,
    PartsMissingError,
    PlaceRefusedError,
    PlaceUnreadableError,
    QuotaReachedError,
    StillCheckingError,
    StorageAwayError,
    StorageFullError,
    TooLargeError,
    UnknownPhotoError,
    UnknownUploadError,
    UnsupportedTypeError,
)

PROBLEMS: dict[type[Exception], tuple[int, str]] = {
    BadClaimError: (422, "bad_claim"),
    ChecksumMismatchError: (422, "checksum_mismatch"),
    EmptyFileError: (422, "empty_file"),
    IntentLostError: (503, "try_again"),
    NoDirectUploadsError: (409, "no_direct_uploads"),
    PartsMissingError: (409, "parts_missing"),
    PlaceRefusedError: (403, "place_refused"),
    PlaceUnreadableError: (422, "place_unreadable"),
    QuotaReachedError: (403, "quota_reached"),
    StillCheckingError: (503, "still_checking"),
    StorageAwayError: (503, "storage_away"),
    StorageFullError: (503, "storage_full"),
    TooLargeError: (413, "too_large"),
    UnknownPhotoError: (404, "unknown_photo"),
    UnknownUploadError: (404, "unknown_upload"),
    UnsupportedTypeError: (415, "unsupported_type"),
}


@contextmanager
def as_problems() -> Iterator[None]:
    """Answer the errors of the use cases as problem documents."""
    try:
        yield
    except tuple(PROBLEMS) as error:
        status, code = next(answer for kind, answer in PROBLEMS.items() if isinstance(error, kind))
        extra = {"missing": error.numbers} if isinstance(error, PartsMissingError) else {}
        raise ProblemError(status, code, str(error), **extra) from error
