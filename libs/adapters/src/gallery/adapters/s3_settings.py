"""What can be set for the S3 store; apart from its client, whose import takes 0.4 s."""

from pathlib import Path

from pydantic import Field, SecretStr

from gallery.runtime.settings import Settings


class S3Settings(Settings):
    """Where the bucket is and who may use it."""

    s3_endpoint: str | None = Field(
        default=None,
        title="S3 endpoint",
        description="Address of the S3 store, such as https://s3.example.org; without one it is AWS.",
    )
    s3_public_endpoint: str | None = Field(
        default=None,
        title="Public S3 endpoint",
        description="Address by which clients reach the same store. Only with it, or with AWS, they may send files"
        " straight to the store.",
    )
    s3_ca: Path | None = Field(
        default=None,
        title="Authorities of S3",
        description="File of certificates (PEM) that the store's is signed by; without one the usual ones of the web.",
    )
    s3_region: str = Field(
        default="us-east-1",
        title="S3 region",
        description="Region of the bucket; stores of one's own often have only us-east-1.",
    )
    s3_bucket: str = Field(
        default="smart-gallery",
        title="S3 bucket",
        description="Bucket of the originals and what is derived from them; nothing else should be in it.",
    )
    s3_key_id: str | None = Field(
        default=None,
        title="S3 key id",
        description="Access key id; without one the machine's own identity is used, as AWS tools do.",
    )
    s3_secret: SecretStr | None = Field(
        default=None,
        title="S3 secret",
        description="Secret access key that belongs to the key id.",
    )
    s3_path_style: bool = Field(
        default=True,
        title="S3 path style",
        description="Whether the bucket stands in the path, which most stores want, and not in the host name.",
    )

    @property
    def within_reach(self) -> bool:
        """Whether clients can be expected to reach the store."""
        return self.s3_public_endpoint is not None or self.s3_endpoint is None
