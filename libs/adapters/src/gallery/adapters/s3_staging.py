"""What is in the bucket and no blob yet: objects under staging keys, and parts that were never put together."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from gallery.adapters.s3_bucket import S3Bucket
from gallery.adapters.s3_multipart import multipart

STAGING = "!staging/"
"""Before the keys of staged objects; no blob's key begins so."""

# One request copies so much; S3 allows 5 GiB, and a request should end before its time is over.
_COPIED_AT_ONCE = 512 << 20


def staging_key() -> str:
    """Return a new key for an object that is to be published or dropped."""
    return f"{STAGING}{uuid4().hex}"


def recorded(sha256: bytes) -> dict[str, str]:
    """Return the metadata that a blob carries: its digest."""
    return {"sha256": sha256.hex()}


async def publish(bucket: S3Bucket, staged: str, key: str, *, etag: str, size: int, sha256: bytes) -> None:
    """Copy a staged object to its key, inside the store.

    Args:
        bucket: Of both.
        staged: Its key now; it stays until it is removed.
        key: Of the blob.
        etag: Of the staged object; were it replaced meanwhile, nothing is published.
        size: Bytes, at least 1, at most 5 TiB.
        sha256: Of its content.
    """
    async with multipart(bucket, key, metadata=recorded(sha256), copied=True) as upload:
        for start in range(0, size, _COPIED_AT_ONCE):
            await upload.copy(staged, start=start, end=min(start + _COPIED_AT_ONCE, size), etag=etag)


async def sweep_unfinished(bucket: S3Bucket, *, older_than: timedelta) -> int:
    """Remove what dead processes and clients left; returns how many uploads and objects are gone.

    Args:
        bucket: Not every store has lifecycle rules that would do it.
        older_than: Longer than any put takes, and than what clients were signed is valid.
    """
    before = datetime.now(UTC) - older_than
    gone = 0
    async for page in bucket.pages("list_multipart_uploads"):
        for upload in page.get("Uploads", ()):
            if upload["Initiated"] < before:
                await bucket.abandon(upload["Key"], upload["UploadId"])
                gone += 1
    async for page in bucket.pages("list_objects_v2", Prefix=STAGING):
        for staged in page.get("Contents", ()):
            if staged["LastModified"] < before:
                await bucket.remove(staged["Key"])
                gone += 1
    return gone
