"""What can be set for the upload service."""

from datetime import timedelta

from pydantic import ByteSize, Field

from gallery.runtime.settings import Settings


class UploadSettings(Settings):
    """Limits of what is taken in, and upkeep."""

    largest_file: ByteSize = Field(
        default=ByteSize(8 * 2**30),
        gt=0,
        title="Largest file",
        description="Files above this are refused. Bytes; suffixes such as 500MB and 8GiB are understood.",
    )
    sweep_every: timedelta = Field(
        default=timedelta(minutes=5),
        title="Pause between sweeps",
        description="How often remains of interrupted uploads are removed. Seconds, or ISO 8601 such as PT5M.",
    )
    audit_budget: ByteSize = Field(
        default=ByteSize(64 * 2**30),
        ge=0,
        title="Read back each night",
        description="So much of the originals is read each night and compared with their checksums, in turn; 0 for"
        " nothing. Bytes; suffixes such as 500MB and 8GiB are understood.",
    )
    audit_hour: int = Field(
        default=1,
        ge=0,
        le=23,
        title="Beginning of the night",
        description="From this hour on, UTC, originals are read back; a machine that is off then does it later.",
        json_schema_extra={"unit": "hour"},
    )
