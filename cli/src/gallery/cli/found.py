"""What an import finds: files to send, files that cannot be, and how a photo is told by its name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import IO

from gallery.cli.takeout import Opener, Said, Sidecars

# Endings under which cameras, phones and scanners write. Some name formats that the gallery does not take in: such a
# file is a photo all the same, and is told so instead of being passed over.
ENDINGS = frozenset(
    {".avif", ".avifs", ".bmp", ".gif", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg"}
    | {".j2k", ".jp2", ".jxl", ".png", ".tif", ".tiff", ".webp"}
    | {".3g2", ".3gp", ".m4v", ".mov", ".mp4", ".qt", ".webm"}
    | {".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srw"}
)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of the digest of a file since an import before: ``recall`` gives it, ``keep`` notes it."""

    recall: Callable[[], str | None]
    keep: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One file to import: a photo or video by content or name.

    Attributes:
        file: Path below what was named, with slashes; one in an archive begins with the archive's name.
        size: Bytes.
        modified: When it was last changed; None when its source does not say in which zone.
        opened: Opens it for reading.
        said: Reads what its sidecar says, in the members of the upload's field ``said``.
        remembered: Its digest, where reading it once more is to be spared.
        place: Where a gallery may find it by itself, such as ``s3://bucket/key``; None of a file on this machine.
    """

    file: str
    size: int
    modified: datetime | None
    opened: Callable[[], IO[bytes]]
    said: Callable[[], Said | None]
    remembered: Remembered | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that was not taken, and why."""

    path: str
    code: str
    detail: str


@dataclass(slots=True)
class Found:
    """Everything below the paths of one import."""

    sources: list[Source] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ignored: int = 0
    sidecars: Sidecars = field(default_factory=Sidecars)

    def ignore(self, root: str, file: str, opened: Opener) -> None:
        """Pass over a file that is no photo; what may be the sidecar of one is remembered."""
        self.ignored += 1
        if file.lower().endswith(".json"):
            self.sidecars.add(root, file, opened)


def is_named_like_photo(name: str) -> bool:
    """Whether the ending says that it is a photo or video."""
    return PurePosixPath(name).suffix.lower() in ENDINGS
