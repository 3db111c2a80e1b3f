"""Errors of this service; the class says what to do.

``GalleryError``
├── ``TransientError``
│   ├── ``HeaderReaderKilledError``: the file is not to blame; try again
│   └── ``UploadUnavailableError``: the upload service does not answer; try again
├── ``PermanentError``
│   ├── ``OriginalUnknownError``: upload has no such photo; to the dead letters
│   └── ``MalformedFactError``: the producer is at fault; to the dead letters
└── ``NamingError``: the caller's mistake, answered as a problem
    ├── ``PersonUnknownError``
    ├── ``NameUnfitError``
    └── ``NameTakenError``
"""

from uuid import UUID

from gallery.runtime.errors import GalleryError, PermanentError, TransientError


class UploadUnavailableError(TransientError):
    """The upload service gave no answer, or one that says to come back."""


class HeaderReaderKilledError(TransientError):
    """Somebody killed the child that was reading; the file is not to blame."""


class OriginalUnknownError(PermanentError):
    """The upload service has no such photo: it was deleted, or the event is not its own."""


class MalformedFactError(PermanentError):
    """An id in a fact is no UUID, or it says what its producer cannot know: that one is at fault."""


class NamingError(GalleryError):
    """Somebody's wish about a name that cannot be met; the sentence says why."""


class PersonUnknownError(NamingError):
    """There is no such person in this library."""

    def __init__(self) -> None:
        super().__init__("there is no such person in this library")


class NameUnfitError(NamingError):
    """The name is empty, too long or unprintable."""


class NameTakenError(NamingError):
    """Another person has this name.

    Attributes:
        person_id: Who has it.
    """

    def __init__(self, person_id: UUID) -> None:
        super().__init__("another person of this library has this name; one name stands for one person")
        self.person_id = person_id
