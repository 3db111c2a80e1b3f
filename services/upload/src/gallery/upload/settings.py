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
