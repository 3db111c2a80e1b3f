"""What to do after a failed attempt, as a value with one decision function."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

import httpx
import psycopg

from gallery.ports.blobs import BlobStoreFullError, BlobStoreUnavailableError
from gallery.runtime.errors import PermanentError, TransientError
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

OUT_OF_SERVICE = (BlobStoreFullError, BlobStoreUnavailableError, psycopg.errors.DiskFull)
"""No message's fault: somebody has to make room, or mend the store, and is waited for as long as that takes."""

TRANSIENT = (
    *OUT_OF_SERVICE,
    TransientError,
    psycopg.OperationalError,
    httpx.TransportError,
    ConnectionError,
    TimeoutError,
)
"""What others raise when a server is away, restarts or deadlocks: it goes away without our doing."""


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
    """Retries with a pause that doubles; bounded, but for a store that is full or out of service.

    Attributes:
        transient_attempts: For errors that may go away by themselves; ten of them span 40 seconds.
        unknown_attempts: For errors that nobody has named.
        first_pause: Before the second attempt.
        longest_pause: No pause is longer.
        longest_attempt: One that takes longer is given up, as if a server were away. Ten of them and their pauses are
            over before a member of a Kafka group counts as stuck.
    """

    transient_attempts: int = 10
    unknown_attempts: int = 3
    first_pause: timedelta = timedelta(milliseconds=100)
    longest_pause: timedelta = timedelta(seconds=15)
    longest_attempt: timedelta = timedelta(minutes=1)

    def decide(self, error: Exception, *, attempt: int) -> Verdict:
        """Judge a failure; ``attempt`` counts from 1."""
        if isinstance(error, PermanentError):
            return Verdict.DEAD
        if isinstance(error, OUT_OF_SERVICE):
            return Verdict.AGAIN
        limit = self.transient_attempts if is_transient(error) else self.unknown_attempts
        return Verdict.AGAIN if attempt < limit else Verdict.PARKED

    def pause(self, attempt: int) -> timedelta:
        """How long to wait after this attempt."""
        return min(self.first_pause * (1 << min(attempt - 1, 30)), self.longest_pause)


async def outlast(work: Callable[[], Awaitable[None]], *, what: str, policy: RetryPolicy) -> None:
    """Do work that ends only by failing, and begin it anew after a pause when waiting mends the failure.

    Args:
        work: Opens what it needs and uses it, until cancelled.
        what: For the log.
        policy: Tells how long to pause; after a good run it begins with short pauses again.

    Raises:
        Exception: What no waiting mends.
    """
    losses = 0
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await work()
        except Exception as raised:  # noqa: BLE001  # judged below: only what waiting mends is passed over
            error = _first(raised)
            if not is_transient(error):
                raise error from (raised if error is not raised else None)
            if asyncio.get_running_loop().time() - began > policy.longest_pause.total_seconds():
                losses = 0
            losses += 1
            log.warning("lost, opening it again", what=what, error=repr(error))
            await asyncio.sleep(policy.pause(losses).total_seconds())


def _first(raised: Exception) -> Exception:
    """The error that explains what was raised: of a group one that no waiting mends, if there is such."""
    if not isinstance(raised, ExceptionGroup):
        return raised
    leaves = [_first(error) for error in raised.exceptions]
    return next((error for error in leaves if not is_transient(error)), leaves[0])
