"""Which objects of others a library may refer to."""

from dataclasses import dataclass
from uuid import UUID

from gallery.ports.elsewhere import PlaceRefusedError, PlaceUnreadableError
from gallery.runtime.errors import GalleryError

SCHEME = "s3://"
LIBRARY = "{library}"


class PlacesError(GalleryError):
    """The setting ``in_place`` cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """One object of a bucket."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read ``s3://bucket/key``.

        Raises:
            PlaceUnreadableError: It is none; a key with ``.`` or ``..`` for a segment is none either, since stores over
                folders follow them.
        """
        bucket, _, key = text.removeprefix(SCHEME).partition("/")
        if not text.startswith(SCHEME) or not bucket or not key:
            raise PlaceUnreadableError("this is no place: one is s3://BUCKET/KEY")
        if {".", ".."} & set(key.split("/")):
            raise PlaceUnreadableError("a place has no segments . or ..")
        return cls(bucket, key)


class AllowedPlaces:
    """Prefixes under which originals may stay.

    Args:
        setting: As ``in_place`` is written.

    Raises:
        PlacesError: One is no prefix.
    """

    def __init__(self, setting: str) -> None:
        self._prefixes = [each.strip() for each in setting.split(",") if each.strip()]
        for each in self._prefixes:
            if not each.startswith(SCHEME) or not _bucket_of(each):
                raise PlacesError(
                    f"in_place names {each!r}, which is no place: it is s3://BUCKET or s3://BUCKET/PREFIX"
                )

    @property
    def buckets(self) -> list[str]:
        """The buckets that they are in, sorted."""
        return sorted({_bucket_of(each) for each in self._prefixes})

    def refuse_bucket(self, bucket: str) -> None:
        """Make sure that a bucket of ours is not named: by a reference, one library would read another's originals.

        Raises:
            PlacesError: It is.
        """
        if bucket in self.buckets:
            raise PlacesError(f"in_place names {bucket}, the gallery's own bucket: name another one, or copy from it")

    def check(self, library_id: UUID, place: str) -> None:
        """Refuse a place that a library may not refer to.

        Raises:
            PlaceRefusedError: It may not.
        """
        folders = (each.replace(LIBRARY, str(library_id)).rstrip("/") + "/" for each in self._prefixes)
        if not any(place.startswith(folder) for folder in folders):
            raise PlaceRefusedError(
                "originals may not stay there: this gallery's setting in_place does not name it. Import without"
                " --in-place, or have it named"
            )


def _bucket_of(prefix: str) -> str:
    return prefix.removeprefix(SCHEME).partition("/")[0]
