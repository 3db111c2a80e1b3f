"""What can be set for a gallery in one process tree."""

from pathlib import Path

from pydantic import Field, SecretStr

from gallery.runtime.settings import Settings


class StandaloneSettings(Settings):
    """Where it lives and where it answers."""

    data: Path = Field(
        default=Path("~/.local/share/smart-gallery"),
        title="Data folder",
        description="Everything that the gallery keeps is below it.",
    )
    host: str = Field(
        default="127.0.0.1",
        title="Address",
        description="Network address to answer on; the default is reachable from this machine only.",
    )
    port: int = Field(
        default=8420, ge=0, le=65535, title="Port", description="TCP port to answer on; 0 takes a free one."
    )
    database_url: SecretStr | None = Field(
        default=None,
        title="Database",
        description="URL of a PostgreSQL 18 to use; without it one is kept inside the data folder.",
    )
