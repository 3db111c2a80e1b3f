"""Digests that were computed before, kept in the data folder: what has not changed is not read again."""

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from gallery.cli.found import Remembered

FILE = "import-notes.sqlite"

_TABLE = """CREATE TABLE IF NOT EXISTS digests (
    place TEXT NOT NULL, version TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (place, version, size)) WITHOUT ROWID"""


class DigestNotes:
    """Digests by place, version and size of a file elsewhere. Whatever is wrong with the notes costs only time."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def of(self, place: str, *, version: str, size: int) -> Remembered:
        """Return the note on one file; nothing is read before it is asked."""
        key = (place, version, size)
        return Remembered(partial(self._recall, key), partial(self._keep, key))

    def _recall(self, key: Sequence[object]) -> str | None:
        with self._lock, suppress(sqlite3.Error, OSError):
            found = self._notes().execute(
                "SELECT sha256 FROM digests WHERE (place, version, size) = (?, ?, ?)", tuple(key)
            )
            row = found.fetchone()
            return None if row is None else str(row[0])
        return None

    def _keep(self, key: Sequence[object], sha256: str) -> None:
        with self._lock, suppress(sqlite3.Error, OSError):
            self._notes().execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", (*key, sha256))

    def _notes(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._opened = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._opened.execute("PRAGMA journal_mode = WAL")
            self._opened.execute("PRAGMA synchronous = NORMAL")
            self._opened.execute(_TABLE)
        return self._opened

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
