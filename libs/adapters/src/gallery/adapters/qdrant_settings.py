"""What can be set for a Qdrant server."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from gallery.runtime.settings import Settings


class QdrantSettings(Settings):
    """Where Qdrant is."""

    qdrant_url: str = Field(
        default="http://qdrant:6333",
        title="Qdrant",
        description="Address of Qdrant 1.15 or newer, with its port, such as https://vectors.example:6333.",
    )
    qdrant_api_key: SecretStr | None = Field(
        default=None, title="API key of Qdrant", description="Without one Qdrant is asked as nobody."
    )
    qdrant_ca: Path | None = Field(
        default=None,
        title="Authorities of Qdrant",
        description="File of certificates (PEM) that its own is signed by; without one the usual ones of the web.",
    )
    qdrant_prefix: str = Field(
        default="",
        pattern="^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$",
        title="Prefix in Qdrant",
        description="Put before the names of collections, so that several galleries can share a server.",
    )
    qdrant_replicas: int = Field(
        default=1,
        ge=1,
        le=16,
        title="Copies in Qdrant",
        description="Of each collection that is made from now on, on as many nodes.",
    )
    qdrant_timeout: timedelta = Field(
        default=timedelta(seconds=10),
        ge=timedelta(seconds=1),
        title="Patience with Qdrant",
        description="How long one request may take; rounded up to whole seconds.",
    )
