"""What to do after a failed attempt, as a value with one decision function."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

import httpx
import psycopg

from gallery.runtime.errors import PermanentError, TransientError

TRANSIENT = (TransientError, psycopg.OperationalError, httpx.TransportError, ConnectionError, TimeoutError)
"""What others raise when a server is away, restarts, deadlocks or has no room: it goes away without our doing."""


def is_transient(error: Exception) -> bool:
    """Whether waiting may mend it; an answer of 500 or more is a service that is down or starting."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, TRANSIENT)


class Verdict(Enum):
    """What becomes of a message whose handling failed."""

    AGAIN = "again"
    DEAD = "dead"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounded retries with a pause that doubles.

    Attributes:
        transient_attempts: For errors that may go away by themselves; ten of them span 40 seconds.
        unknown_attempts: For errors that nobody has named.
        first_pause: Before the second attempt.
        longest_pause: No pause is longer.
    """

    transient_attempts: int = 10
    unknown_attempts: int = 3
    first_pause: timedelta = timedelta(milliseconds=100)
    longest_pause: timedelta = timedelta(seconds=15)

    def decide(self, error: Exception, *, attempt: int) -> Verdict:
        """Judge a failure; ``attempt`` counts from 1."""
        if isinstance(error, PermanentError):
            return Verdict.DEAD
        limit = self.transient_attempts if is_transient(error) else self.unknown_attempts
        return Verdict.AGAIN if attempt < limit else Verdict.PARKED

    def pause(self, attempt: int) -> timedelta:
        """How long to wait after this attempt."""
        return min(self.first_pause * float(2 ** (attempt - 1)), self.longest_pause)
