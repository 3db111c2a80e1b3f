"""What a store can do of what is needed, found out by trying."""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from gallery.adapters.findings import Finding
from gallery.adapters.s3_bucket import S3AwayError, S3Bucket, S3RefusedError
from gallery.adapters.s3_multipart import multipart
from gallery.adapters.s3_settings import S3Settings
from gallery.adapters.s3_staging import publish, recorded, staging_key
from gallery.ports.blobs import BlobError, BlobStoreFullError

_PATIENCE = timedelta(seconds=10)
_CONTENT = b"what the doctor puts"
_OTHER = b"what the doctor says"


class Ability(StrEnum):
    """What a store is tried for, in the words of a list of checks."""

    KEEPS = "s3 keeps what is put"
    CHECKS_OBJECTS = "s3 refuses other bytes than were signed"
    CHECKS_PARTS = "s3 refuses other bytes of a part than were signed"
    COMPOSES = "s3 puts parts together and copies them"
    LISTS_UPLOADS = "s3 lists unfinished uploads"
    KEEPS_FIRST = "s3 puts only where nothing is"
    ANSWERS_BROWSERS = "s3 answers browsers of other sites"


@contextmanager
def looked_at(settings: S3Settings) -> Iterator[S3Bucket]:
    """Open a bucket for trials: whoever makes them waits."""
    with closing(S3Bucket(settings, patience=_PATIENCE)) as bucket:
        yield bucket


async def reach(bucket: S3Bucket) -> Finding:
    """See whether the bucket is there and lets us in; nothing is written."""
    try:
        await bucket.ask("list_objects_v2", MaxKeys=1)
    except BlobError as error:
        # Whoever only reads objects need not be allowed to list them.
        if not (isinstance(error, S3RefusedError) and error.code == "AccessDenied"):
            return Finding("s3", ok=False, found=str(error), advice=_REACH)
    return Finding("s3", ok=True, found=f"bucket {bucket.name}")


async def probe(bucket: S3Bucket) -> list[Finding]:
    """Try a store, with small objects under a staging key that are removed again.

    A store that does not even keep what is put is not asked for more.
    """
    key = staging_key()
    try:
        found = [await _finding(_TRIALS[0], bucket, key)]
        if found[0].ok:
            found += [await _finding(trial, bucket, key) for trial in _TRIALS[1:]]
        return found
    finally:
        for each in (key, f"{key}-composed"):
            with suppress(BlobError):
                await bucket.remove(each)


class _LackingError(Exception):
    """The store did not do what it should have done; the message says what it did."""


@dataclass(frozen=True, slots=True)
class _Trial:
    ability: Ability
    run: Callable[[S3Bucket, str], Awaitable[None]]
    needed: bool
    advice: str


async def _finding(trial: _Trial, bucket: S3Bucket, key: str) -> Finding:
    try:
        await trial.run(bucket, key)
    except (_LackingError, BlobError) as error:
        passing = isinstance(error, S3AwayError | BlobStoreFullError)
        return Finding(
            trial.ability, ok=False, found=str(error), advice=trial.advice, needed=trial.needed, passing=passing
        )
    return Finding(trial.ability, ok=True, found="yes", needed=trial.needed)


async def _keeps(bucket: S3Bucket, key: str) -> None:
    metadata = recorded(hashlib.sha256(_CONTENT).digest())
    await bucket.ask("put_object", Key=key, Body=_CONTENT, ChecksumSHA256=_said(_CONTENT), Metadata=metadata)
    await _expect(bucket, key, metadata=metadata)


async def _checks_objects(bucket: S3Bucket, key: str) -> None:
    with suppress(BlobError):
        await bucket.ask("put_object", Key=key, Body=_OTHER, ChecksumSHA256=_said(_CONTENT))
        raise _LackingError("it took them")


async def _checks_parts(bucket: S3Bucket, key: str) -> None:
    async with _upload(bucket, key) as upload:
        with suppress(BlobError):
            await bucket.ask("upload_part", PartNumber=1, Body=_OTHER, ChecksumSHA256=_said(_CONTENT), **upload)
            raise _LackingError("it took them")


async def _composes(bucket: S3Bucket, key: str) -> None:
    composed = f"{key}-composed"
    async with multipart(bucket, key, metadata={}) as upload:
        await upload.add(_CONTENT)
    sha256, size = await upload.sent()
    await publish(bucket, key, composed, etag=upload.etag, size=size, sha256=sha256)
    await _expect(bucket, composed, metadata=recorded(sha256))


async def _lists_uploads(bucket: S3Bucket, key: str) -> None:
    async with _upload(bucket, key) as upload:
        async for page in bucket.pages("list_multipart_uploads", Prefix=key):
            if any(found["UploadId"] == upload["UploadId"] for found in page.get("Uploads", ())):
                return
    raise _LackingError("one that was begun is not in the list")


async def _keeps_first(bucket: S3Bucket, key: str) -> None:
    try:
        await bucket.ask("put_object", Key=key, Body=_OTHER, ChecksumSHA256=_said(_OTHER), IfNoneMatch="*")
    except S3RefusedError as error:
        if error.code == "PreconditionFailed":
            return
        raise
    raise _LackingError("it replaced what was there")


async def _answers_browsers(bucket: S3Bucket, key: str) -> None:
    del key
    try:
        await bucket.ask("get_bucket_cors")
    except BlobError as error:
        raise _LackingError("the bucket has no CORS rules") from error


async def _expect(bucket: S3Bucket, key: str, *, metadata: dict[str, str]) -> None:
    """See that the test's content is there."""
    answer = await bucket.ask("get_object", Key=key)
    content = await bucket.run(answer["Body"].read)
    if content != _CONTENT or answer["Metadata"] != metadata:
        raise _LackingError("what came back is not what was put")


@asynccontextmanager
async def _upload(bucket: S3Bucket, key: str) -> AsyncIterator[dict[str, str]]:
    """Begin a multipart upload and drop it at the end."""
    begun = await bucket.ask("create_multipart_upload", Key=key, ChecksumAlgorithm="SHA256")
    upload = {"Key": key, "UploadId": begun["UploadId"]}
    try:
        yield upload
    finally:
        await bucket.abandon(key, begun["UploadId"])


def _said(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


_REACH = "it needs an S3 store with that bucket: check GALLERY_S3_ENDPOINT, GALLERY_S3_BUCKET and the key"
_UNSAFE = "a body cut off on its way may be kept; take a store, or a version of it, that checks x-amz-checksum-sha256"
_TRIALS = (
    _Trial(
        Ability.KEEPS, _keeps, needed=True, advice="check GALLERY_S3_ENDPOINT, the bucket, and the rights of its key"
    ),
    _Trial(Ability.CHECKS_OBJECTS, _checks_objects, needed=True, advice=_UNSAFE),
    _Trial(Ability.CHECKS_PARTS, _checks_parts, needed=True, advice=_UNSAFE),
    _Trial(
        Ability.COMPOSES, _composes, needed=True, advice="files above 8 MiB need multipart uploads and UploadPartCopy"
    ),
    _Trial(
        Ability.LISTS_UPLOADS,
        _lists_uploads,
        needed=False,
        advice="unfinished uploads cannot be swept; set a lifecycle rule that ends them after a day",
    ),
    _Trial(
        Ability.KEEPS_FIRST,
        _keeps_first,
        needed=False,
        advice="an address signed for an upload can be used again until it runs out; a newer store knows If-None-Match",
    ),
    _Trial(
        Ability.ANSWERS_BROWSERS,
        _answers_browsers,
        needed=False,
        advice="for uploads from browsers straight to the store allow PUT from the gallery's address in its CORS rules",
    ),
)
