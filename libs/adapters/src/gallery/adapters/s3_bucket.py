"""One S3 bucket, asked from threads; what S3 answers becomes what the port of blobs says."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectionError,  # noqa: A004 - botocore's own
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)
from botocore.parsers import ResponseParserError

from gallery.adapters.certificates import trusting
from gallery.adapters.s3_settings import S3Settings
from gallery.adapters.threads import in_thread
from gallery.ports.blobs import BlobError, BlobNotFoundError, BlobStoreFullError, BlobStoreUnavailableError
from gallery.runtime.errors import TransientError

Result = TypeVar("Result")

# Requests wait for the network and hardly for the CPU; parts of 8 MiB bound the memory.
_AT_ONCE = 32
_CONNECT_SECONDS = 5
# Of silence, which is also how long a photo waits for a link that died without a word.
_PATIENCE = timedelta(seconds=20)
# These say nothing while a gateway over files writes the object anew.
_LONG = {"complete_multipart_upload", "upload_part_copy"}
_LONG_FACTOR = 3
# With botocore's pauses of up to 1, 2, 4 s between them: a restart of the store goes unnoticed.
_ATTEMPTS = 4

# Of a HEAD there is only the status, so that a bucket that is not there looks the same.
_NOT_FOUND = {"NoSuchKey", "404"}
# The first two of versitygw and Ceph, the others of MinIO.
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_NO_UPLOAD = "NoSuchUpload"
# Words for no bucket, and for keys that ran out or were never good; of a HEAD there is only the status.
_SHUT = {
    "403",
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "NoSuchBucket",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
# Of a body that came otherwise than it was sent: we sign only what we hashed.
_HARMED = {"BadDigest", "IncompleteBody", "RequestTimeout", "XAmzContentSHA256Mismatch"}
_HARMED_PAUSE_SECONDS = 0.2
_WITH_LENGTH = {200, 206}
_SERVER_ERROR = 500
_TOO_MANY = 429


class S3AwayError(BlobStoreUnavailableError, TransientError):
    """The store does not answer, or answers that it cannot now; it was asked several times."""


class S3RefusedError(BlobError):
    """The store will not do it, asked again or not.

    Attributes:
        code: The store's word for why, such as ``AccessDenied``.
    """

    def __init__(self, sentence: str, *, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class S3ShutError(S3RefusedError, BlobStoreUnavailableError):
    """The bucket is gone or does not let us in, whatever is asked."""


class S3UploadOverError(S3RefusedError):
    """The upload in parts was completed, dropped, lost or never begun."""


class S3Bucket:
    """A connection pool to one bucket. Close it at the end.

    Args:
        patience: With a store that says nothing, in each of four attempts; longer where it has to copy.

    Attributes:
        name: Of the bucket.
    """

    def __init__(self, settings: S3Settings, *, patience: timedelta = _PATIENCE) -> None:
        self.name = settings.s3_bucket
        self._client = _client(settings, endpoint=settings.s3_endpoint, patience=patience)
        self._patient = _client(settings, endpoint=settings.s3_endpoint, patience=_LONG_FACTOR * patience)
        public = settings.s3_public_endpoint
        self._signer = _client(settings, endpoint=public, patience=patience) if public else self._client
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="s3")

    def close(self) -> None:
        """Wait for the requests under way, and let go of the connections."""
        self._threads.shutdown()
        for client in (self._client, self._patient, self._signer):
            client.close()

    async def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Do one operation of the S3 API, such as ``head_object``, on this bucket.

        Raises:
            BlobError: What the store says, in the port's words; nobody asks twice, that was done here.
        """
        return await self.run(functools.partial(self.ask_blocking, operation, **arguments))

    def ask_blocking(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Do one operation in the thread that we are in."""
        client = self._patient if operation in _LONG else self._client
        with said_by_s3(arguments.get("Key", self.name)):
            answer: dict[str, Any] = getattr(client, operation)(Bucket=self.name, **arguments)
            return answer

    async def pages(self, operation: str, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
        """Do a listing operation page by page."""
        pages = iter(self._client.get_paginator(operation).paginate(Bucket=self.name, **arguments))

        def page() -> dict[str, Any] | None:
            with said_by_s3(self.name):
                return next(pages, None)

        while found := await self.run(page):
            yield found

    def sign(self, operation: str, *, valid_for: timedelta, **arguments: Any) -> str:
        """Return an address that allows anybody one operation; arguments that are headers have to be sent with it."""
        url: str = self._signer.generate_presigned_url(
            operation, Params={"Bucket": self.name, **arguments}, ExpiresIn=int(valid_for.total_seconds())
        )
        return url

    async def remove(self, key: str) -> None:
        """Delete an object, with all its versions where the bucket keeps such; one that is not there is fine."""
        answer = await self.ask("delete_object", Key=key)
        if not ("VersionId" in answer or "DeleteMarker" in answer):
            return
        async for page in self.pages("list_object_versions", Prefix=key):
            for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                if version["Key"] == key:
                    await self.ask("delete_object", Key=key, VersionId=version["VersionId"])

    async def abandon(self, key: str, upload_id: str) -> None:
        """Drop the parts of an upload; one that is over is fine."""
        with suppress(S3UploadOverError):
            await self.ask("abort_multipart_upload", Key=key, UploadId=upload_id)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run blocking work in one of the bucket's threads, to its end."""
        return await in_thread(work, executor=self._threads)


@contextmanager
def said_by_s3(subject: str) -> Iterator[None]:
    """Say in the port's words what botocore raises."""
    try:
        yield
    except ClientError as error:
        raise _translated(error, subject) from error
    except (ConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError, ValueError) as error:
        # The last two are an answer that cannot be read, cut short for one.
        raise S3AwayError(f"the store of {subject} does not answer: {error}") from error
    except (CredentialRetrievalError, NoCredentialsError) as error:
        raise S3ShutError(f"the store of {subject} needs a key: {error}", code=type(error).__name__) from error
    except BotoCoreError as error:
        raise BlobError(f"{subject}: {error}") from error


def _translated(error: ClientError, subject: str) -> BlobError:
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code in _NOT_FOUND:
        return BlobNotFoundError(subject)
    if code in _FULL:
        return BlobStoreFullError(subject)
    if status >= _SERVER_ERROR or status == _TOO_MANY or code in _HARMED:
        return S3AwayError(f"the store cannot serve {subject} now: {code}")
    kind = S3ShutError if code in _SHUT else S3UploadOverError if code == _NO_UPLOAD else S3RefusedError
    return kind(f"the store refused {subject}: {code}", code=code)


def _client(settings: S3Settings, *, endpoint: str | None, patience: timedelta) -> Any:
    session = boto3.session.Session(
        aws_access_key_id=settings.s3_key_id,
        aws_secret_access_key=settings.s3_secret.get_secret_value() if settings.s3_secret else None,
        region_name=settings.s3_region,
    )
    config = Config(
        signature_version="s3v4",  # botocore's presigned addresses are of version 2 otherwise
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=patience.total_seconds(),
        max_pool_connections=_AT_ONCE,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        s3={"addressing_style": "path" if settings.s3_path_style else "virtual"},
        # We sign sha256 ourselves; a second checksum of botocore's choosing would only cost.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = session.client("s3", endpoint_url=endpoint, config=config, verify=_authorities(settings))
    client.meta.events.register_first("needs-retry.s3", _ask_again)
    return client


def _authorities(settings: S3Settings) -> str | None:
    if settings.s3_ca is None:
        return None
    trusting(settings.s3_ca, name="s3_ca")  # botocore would find out only when it is asked
    return str(settings.s3_ca)


def _ask_again(*, response: Any, attempts: int, endpoint: Any, **_: Any) -> float | None:
    """Tell botocore what else is worth another attempt: a refusal of what the way has harmed, and headers cut short.

    The latter it takes for an empty answer, such as an empty listing; a whole answer of S3 says how long it is.

    Returns:
        The pause before the next attempt, nothing where botocore shall judge.

    Raises:
        ConnectionClosedError: The last attempt's answer is not whole.
    """
    if response is None:
        return None
    raw, answer = response
    again = attempts < _ATTEMPTS
    whole = raw.status_code not in _WITH_LENGTH or "content-length" in raw.headers or "transfer-encoding" in raw.headers
    if not whole and not again:
        raise ConnectionClosedError(endpoint_url=endpoint.host)
    harmed = not whole or answer.get("Error", {}).get("Code") in _HARMED
    return _HARMED_PAUSE_SECONDS if harmed and again else None
