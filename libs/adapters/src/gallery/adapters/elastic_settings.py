"""What can be set for Elasticsearch."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from gallery.runtime.settings import Settings


class ElasticSettings(Settings):
    """Where Elasticsearch is and how the index is laid out there."""

    elastic_url: str = Field(
        default="http://elasticsearch:9200",
        title="Elasticsearch",
        description="Address of Elasticsearch 9, such as https://search.example:9200.",
    )
    elastic_api_key: SecretStr | None = Field(
        default=None,
        title="API key of Elasticsearch",
        description="Encoded; it needs the privilege `all` on the indices named below and nothing else. "
        "Without one Elasticsearch is asked as nobody.",
    )
    elastic_ca: Path | None = Field(
        default=None,
        title="Authorities of Elasticsearch",
        description="File of certificates (PEM) that its own is signed by; without one the system's.",
    )
    elastic_index: str = Field(
        default="photos",
        pattern="^[a-z][a-z0-9_]{0,99}$",
        title="Name of the index",
        description="Versions of the index are called by this name and a number, such as photos-v1.",
    )
    elastic_shards: int = Field(
        default=1,
        ge=1,
        le=1024,
        title="Shards",
        description="Parts of an index that is made from now on; a library lies whole in one of them.",
    )
    elastic_replicas: int = Field(
        default=1,
        ge=0,
        le=10,
        title="Replicas",
        description="Copies of each shard on other nodes, of an index that is made from now on.",
    )
    elastic_timeout: timedelta = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        title="Patience with Elasticsearch",
        description="How long one request may take.",
    )
