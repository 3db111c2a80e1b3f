"""What can be set for originals that stay in buckets of their owner."""

from pathlib import Path

from pydantic import Field, SecretStr

from gallery.adapters.s3_settings import S3Settings
from gallery.runtime.settings import Settings


class InPlaceSettings(Settings):
    """Which buckets of others may be referred to, and who reads them."""

    in_place: str = Field(
        default="",
        title="Places of originals",
        description="Prefixes under which originals may stay where they are, separated by commas, such as"
        " s3://archive/photos or s3://archive/{library}; {library} stands for the id of the library that refers."
        " Whoever may import reads everything under a prefix. Without one, everything is copied.",
    )
    in_place_endpoint: str | None = Field(
        default=None,
        title="Endpoint of places",
        description="Address of the S3 store that has these buckets, such as https://s3.example.org; without one it is"
        " AWS.",
    )
    in_place_region: str = Field(default="us-east-1", title="Region of places", description="Region of these buckets.")
    in_place_key_id: str | None = Field(
        default=None,
        title="Key id of places",
        description="Access key id that may read these buckets, and had better not write them; without one the"
        " machine's own identity is used, as AWS tools do.",
    )
    in_place_secret: SecretStr | None = Field(
        default=None,
        title="Secret of places",
        description="Secret access key that belongs to the key id.",
    )
    in_place_ca: Path | None = Field(
        default=None,
        title="Authority of places",
        description="File with the certificates (PEM) by which that store is known, where it is no public authority.",
    )
    in_place_path_style: bool = Field(
        default=True,
        title="Path style of places",
        description="Whether the bucket stands in the path, which most stores want, and not in the host name.",
    )

    def of_bucket(self, bucket: str) -> S3Settings:
        """Return how one of these buckets is reached."""
        return S3Settings(
            s3_endpoint=self.in_place_endpoint,
            s3_public_endpoint=None,
            s3_region=self.in_place_region,
            s3_bucket=bucket,
            s3_key_id=self.in_place_key_id,
            s3_secret=self.in_place_secret,
            s3_ca=self.in_place_ca,
            s3_path_style=self.in_place_path_style,
        )
