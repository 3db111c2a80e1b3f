"""What can go wrong in search, and what it asks of whoever sees it."""

from gallery.runtime.errors import GalleryError, TransientError


class SearchError(GalleryError):
    """Any of the below."""


class QueryError(SearchError):
    """The caller's: the query cannot be read.

    Attributes:
        position: Of the mistake, in characters from 0.
        expected: What would have been right there, to be read after "expected".
    """

    def __init__(self, position: int, expected: str) -> None:
        super().__init__(f"Mistake in the query at character {position}: expected {expected}.")
        self.position = position
        self.expected = expected


class BadCursorError(SearchError):
    """The caller's: the cursor is not one of ours, or belongs to another query. Begin with the first page."""


class IndexUnavailableError(TransientError):
    """The search index does not answer, whatever is to be indexed: later."""


class OwnerUnavailableError(TransientError):
    """A service that owns what we show did not answer, or not sensibly: later."""
