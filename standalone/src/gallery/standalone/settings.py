"""What can be set for a gallery in one process tree."""

from pydantic import Field

from gallery.adapters.profile import ProfileSettings
from gallery.runtime.tracing import TracingSettings


class StandaloneSettings(ProfileSettings, TracingSettings):
    """What it stands on, where it answers, and where its spans go."""

    host: str = Field(
        default="127.0.0.1",
        title="Address",
        description="Network address to answer on; the default is reachable from this machine only.",
    )
    port: int = Field(
        default=8420, ge=0, le=65535, title="Port", description="TCP port to answer on; 0 takes a free one."
    )
