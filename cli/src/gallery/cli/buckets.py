"""Photos in a bucket: found by listing, streamed through the upload like any other source.

Access is as the AWS tools have it: environment, shared files, role of the machine.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, cast

from gallery.cli.digest_notes import DigestNotes
from gallery.cli.errors import CommandError, UsageError
from gallery.cli.found import Found, Rejected, Source, is_named_like_photo
from gallery.runtime.media_types import HEAD, detect

SCHEME = "s3://"
ATTEMPTS = 4
"""Times that the content of an object is asked for until it is rejected; boto3 itself tries each request again."""


@dataclass(frozen=True, slots=True)
class BucketPrefix:
    """All keys of a bucket that begin alike.

    Attributes:
        prefix: May end inside a name, as prefixes do; names of files are told from its last slash on.
    """

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, place: str) -> "BucketPrefix":
        """Read ``s3://bucket/prefix``.

        Raises:
            UsageError: It names no bucket.
        """
        bucket, _, prefix = place.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise UsageError(f"{place} names no bucket: it is s3://BUCKET/PREFIX")
        return cls(bucket, prefix)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}"


def walk_bucket(place: BucketPrefix, found: Found, *, notes: DigestNotes) -> None:
    """Find what is under a prefix; hidden names are passed over, archives are not looked into.

    Raises:
        UsageError: Nothing is there.
        CommandError: The bucket cannot be listed.
    """
    bucket = _Bucket(place)
    folder = place.prefix[: place.prefix.rfind("/") + 1]
    empty = True
    for listed in bucket.objects(place.prefix):
        empty = False
        name = listed.key[len(folder) :]
        parts = PurePosixPath(name).parts
        if parts and not name.endswith("/") and not any(part.startswith(".") for part in parts):
            _sort_in(bucket, listed, name, found, notes=notes)
    if empty:
        raise UsageError(f"{place} is not there")


@dataclass(frozen=True, slots=True)
class _Listed:
    """An object as the listing shows it."""

    key: str
    size: int
    etag: str
    modified: Any


def _sort_in(bucket: "_Bucket", listed: _Listed, name: str, found: Found, *, notes: DigestNotes) -> None:
    ending = PurePosixPath(name).suffix.lower()
    opened = partial(bucket.open, listed)
    if ending == ".zip":
        found.rejected.append(Rejected(name, "archive_in_bucket", "archives in buckets are not read: fetch it first"))
    elif is_named_like_photo(name) or (not ending and _has_photo_inside(opened())):
        remembered = notes.of(f"{bucket.endpoint} {bucket.name} {listed.key}", version=listed.etag, size=listed.size)
        said = partial(found.sidecars.said_of, bucket.root, name)
        place = f"{SCHEME}{bucket.name}/{listed.key}"
        found.sources.append(Source(name, listed.size, listed.modified, opened, said, remembered, place))
    else:
        found.ignore(bucket.root, name, opened)


def _has_photo_inside(opened: IO[bytes]) -> bool:
    """Look at the content of what has no ending; one request each, so that others are told by their name."""
    with opened:
        try:
            return detect(opened.read(HEAD)) is not None
        except OSError:
            return False


class _Bucket:
    """One bucket and the connections to it."""

    def __init__(self, place: BucketPrefix) -> None:
        try:
            import boto3
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError as error:
            raise CommandError("importing from a bucket needs boto3, which is the extra gallery-cli[bucket]") from error
        self.faults: tuple[type[Exception], ...] = (BotoCoreError, ClientError, OSError)
        self.name = place.bucket
        self.root = str(place)
        try:
            self._client = boto3.client("s3", endpoint_url=os.environ.get("GALLERY_IMPORT_ENDPOINT") or None)
        except (*self.faults, ValueError) as error:
            raise CommandError(f"{place} cannot be asked: {error}") from error
        self.endpoint: str = self._client.meta.endpoint_url

    def objects(self, prefix: str) -> Iterator[_Listed]:
        """List in the order of keys."""
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    yield _Listed(entry["Key"], entry["Size"], entry["ETag"], entry["LastModified"])
        except self.faults as error:
            kind = UsageError if "NoSuchBucket" in str(error) else CommandError
            raise kind(f"{self.root} cannot be listed: {error}") from error

    def open(self, listed: _Listed) -> IO[bytes]:
        """Open an object as it was listed."""
        return cast("IO[bytes]", _Object(self, listed))

    def body(self, listed: _Listed, start: int) -> Any:
        """Ask for the rest of an object; one that was replaced meanwhile is refused."""
        asked = {"Bucket": self.name, "Key": listed.key, "IfMatch": listed.etag, "Range": f"bytes={start}-"}
        return self._client.get_object(**asked)["Body"]


class _Object(io.RawIOBase):
    """The content of an object; a connection that breaks is opened anew where it broke."""

    def __init__(self, bucket: _Bucket, listed: _Listed) -> None:
        self._bucket = bucket
        self._listed = listed
        self._at = 0
        self._body: Any = None

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, fewer than asked for where the connection gave fewer.

        Raises:
            OSError: The object cannot be read, or is another by now.
        """
        for attempt in range(1, ATTEMPTS + 1):
            if self._at >= self._listed.size:
                return b""
            try:
                if self._body is None:
                    self._body = self._bucket.body(self._listed, self._at)
                piece: bytes = self._body.read(None if size < 0 else size)
            except self._bucket.faults as error:
                self._let_go()
                if attempt == ATTEMPTS:
                    raise OSError(f"the bucket does not give it: {error}") from error
            else:
                self._at += len(piece)
                return piece
        return b""

    def close(self) -> None:
        """Let go of the connection."""
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
