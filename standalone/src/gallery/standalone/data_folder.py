"""The folder that one gallery lives in, and the claim on it."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gallery.runtime.errors import GalleryError

ADDRESS_FILE = "gallery.json"
LOCK_FILE = "gallery.lock"


class DataFolderError(GalleryError):
    """The data folder cannot be used; the sentence says what to do."""


class DataFolderInUseError(DataFolderError):
    """Another gallery runs on this folder: stop it, or talk to it."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Where each part keeps its files.

    Attributes:
        root: Readable by its owner only.
    """

    root: Path

    @property
    def postgres(self) -> Path:
        """The database cluster: everything that is known."""
        return self.root / "postgres"

    @property
    def blobs(self) -> Path:
        """Originals and renditions."""
        return self.root / "blobs"

    @property
    def vectors(self) -> Path:
        """The vector index; it can be filled again."""
        return self.root / "vectors"

    def announce(self, url: str) -> None:
        """Write the address that the ``gallery`` command looks for, whole or not at all."""
        content = json.dumps({"url": url, "pid": os.getpid()})
        with tempfile.NamedTemporaryFile("w", dir=self.root, prefix=".address-", delete=False) as draft:
            draft.write(content)
        Path(draft.name).replace(self.root / ADDRESS_FILE)

    def withdraw(self) -> None:
        """Remove the address; nobody answers there any more."""
        (self.root / ADDRESS_FILE).unlink(missing_ok=True)


@contextmanager
def claimed(root: Path) -> Iterator[DataFolder]:
    """Hold the folder for this process; the kernel lets go when the process dies, however it dies.

    Raises:
        DataFolderInUseError: Another process holds it.
        DataFolderError: It cannot be made or written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (root / LOCK_FILE).open("w")
    except OSError as error:
        raise DataFolderError(
            f"{root} cannot be used as data folder ({error.strerror}): choose another one with --data"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderInUseError(
                f"a gallery already runs on {root}: stop it first, or use it as it is"
            ) from error
        folder = DataFolder(root)
        folder.withdraw()
        try:
            yield folder
        finally:
            folder.withdraw()
