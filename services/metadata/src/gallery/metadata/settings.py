"""Settings of the metadata service."""

from datetime import timedelta

from pydantic import Field

from gallery.runtime.settings import Settings


class MetadataSettings(Settings):
    """How headers are read, and when a stage counts as stuck."""

    metadata_header_memory: int = Field(
        default=512 * 1024 * 1024,
        ge=128 * 1024 * 1024,
        title="Memory of a header reader",
        description="Address space of the child process that reads the headers of files; a file that needs more is "
        "described without its header.",
        json_schema_extra={"unit": "bytes"},
    )
    metadata_header_time: timedelta = Field(
        default=timedelta(seconds=2),
        gt=timedelta(0),
        title="Time for a header",
        description="Processor time for one header, and a fifth of its time on the clock; a file that needs more is "
        "described without its header.",
    )
    metadata_stuck_after: timedelta = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        title="Age of a stuck stage",
        description="A stage that has been pending for longer is asked for again by reconciliation.",
    )
