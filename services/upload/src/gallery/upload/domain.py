"""What the upload service knows: originals, what clients claim of them, and what it finds when it checks."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from gallery.ports.direct_uploads import DirectUpload

HASHES_AT_ONCE = 5000
"""How many digests one question may name."""

IDS_AT_ONCE = 500
"""No answer lists more."""


class Lane(StrEnum):
    """Which queue the work of a photo joins."""

    INTERACTIVE = "interactive"
    BACKFILL = "backfill"


class Status(StrEnum):
    """What became of an upload."""

    ACCEPTED = "accepted"
    ALREADY_STORED = "already_stored"


@dataclass(frozen=True, slots=True)
class Claim:
    """What the client says about a file before its bytes arrive.

    Attributes:
        file: Safe relative path (see ``names.safe_path``).
        sha256: Of the bytes to come, 32 bytes, to be checked; None when the client does not know.
        modified_at: Of the file on the client's disk, with its zone.
        said: What another gallery said of the photo, in the members of ``said.Said``; None when nobody said anything.
    """

    library_id: UUID
    file: str
    lane: Lane
    sha256: bytes | None = None
    modified_at: datetime | None = None
    said: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Original:
    """One stored original: the row that makes it exist.

    Attributes:
        photo_id: UUIDv7.
        sha256: 32 bytes, unique within the library.
        size: Bytes, above 0.
        media_type: By content.
    """

    photo_id: UUID
    library_id: UUID
    blob_key: str
    sha256: bytes
    size: int
    media_type: str
    uploaded_at: datetime
    file: str
    modified_at: datetime | None = None
    said: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to an upload; ``original`` is the row that was there first when it is already stored."""

    original: Original
    status: Status


class Outcome(StrEnum):
    """How a direct upload ended; the last two are the codes of their problems."""

    ACCEPTED = "accepted"
    ALREADY_STORED = "already_stored"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    UNSUPPORTED_TYPE = "unsupported_type"


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a direct upload: the photo, or else why there is none.

    Attributes:
        detail: Of a refusal, the sentence.
    """

    outcome: Outcome
    photo_id: UUID | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A direct upload that a client began.

    Attributes:
        upload: What the store knows it by.
        blob_key: Of the original that it is to become; declared as an intent until it has.
        expires_at: From then on it is removed, with its zone.
        ended: None as long as it has not.
    """

    id: UUID
    claim: Claim
    upload: DirectUpload
    blob_key: str
    expires_at: datetime
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a direct upload is; ``sent`` are the numbers of the parts that are there, ascending."""

    transfer: Transfer
    sent: tuple[int, ...]


class FindingKind(StrEnum):
    """What can be wrong between rows and objects."""

    MISSING = "missing"  # a row whose object is not there
    DAMAGED = "damaged"  # an object whose bytes are not those of its row
    CHANGED = "changed"  # an original that stays elsewhere is another by now
    UNREADABLE = "unreadable"  # one that its bucket does not give out now, which says nothing of it
    ORPHAN = "orphan"  # an object that no row knows


FAULTS = (FindingKind.MISSING, FindingKind.DAMAGED, FindingKind.CHANGED)
"""What can be wrong with an original."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One discrepancy; ``photo_id`` is None for an orphan."""

    kind: FindingKind
    key: str
    photo_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What a full check read and found."""

    objects: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """An original that was not well when it was last read; ``kind`` is one of `FAULTS`."""

    photo_id: UUID
    blob_key: str
    kind: FindingKind
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Night:
    """A day that begins at the hour of the audit; a machine that sleeps at night makes up for it in the morning.

    Attributes:
        day: On which it began, UTC.
        since: When it began.
    """

    day: date
    since: datetime

    @classmethod
    def at(cls, moment: datetime, *, hour: int) -> "Night":
        """Return the one of a moment; ``hour`` is of UTC."""
        day = (moment.astimezone(UTC) - timedelta(hours=hour)).date()
        return cls(day, datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Turn:
    """A slice of the audit in our hands.

    Attributes:
        after: The last photo that was read before.
        spent: Bytes read this night.
    """

    after: UUID
    spent: int


@dataclass(frozen=True, slots=True)
class Round:
    """How far the audit is.

    Attributes:
        objects: Originals read in this round.
        began_at: When the first of them was due.
        ended_at: When the round before ended; None before the first one has.
    """

    objects: int
    began_at: datetime
    ended_at: datetime | None
