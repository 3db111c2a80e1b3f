"""A gallery that runs, in either profile: uploads to it, and when they have ended, as its database tells."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
from footprint import Connection, database  # beside this file
from process_cost import tree
from psycopg.rows import dict_row
from support.command import Gallery
from support.distributed import TOKEN, Distributed, Engines

ASK_EVERY_SECONDS = 0.01
TRY_AGAIN_AFTER_SECONDS = 0.1
PATIENCE_SECONDS = 300

MATCHED = ("people",)
SEARCHABLE = ("described", "rendered", "faces", "tags", "people", "indexed")
"""Stages of the ledger; text is read later, where it is read."""

_PENDING = "SELECT photo_id FROM metadata.ledger WHERE photo_id = ANY(%s) AND stage = ANY(%s) AND state <> 'pending'"


@dataclass(frozen=True, slots=True)
class Watched:
    """A gallery that runs.

    Attributes:
        command: The command line on it.
        address: Of its public API.
        token: Opens it.
        connection: To its database.
        processes: Ids of all of its processes.
    """

    command: Gallery
    address: str
    token: str
    connection: Connection
    processes: Callable[[], list[int]]

    def upload(self, photo: bytes) -> UUID:
        """Upload until it is acknowledged."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        headers = {"authorization": f"Bearer {self.token}"}
        while True:
            try:
                files = {"file": ("photo.jpg", photo)}
                answer = httpx.post(f"{self.address}/api/v1/uploads", files=files, headers=headers, timeout=30)
                if answer.is_success:
                    return UUID(answer.json()["uploads"][0]["photo"])
            except httpx.TransportError:
                assert time.monotonic() < deadline, "nobody takes uploads"
            time.sleep(TRY_AGAIN_AFTER_SECONDS)

    def wait(self, photos: Sequence[UUID], stages: Sequence[str]) -> None:
        """Return once these stages of these photos have ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.connection.execute(_PENDING, [list(photos), list(stages)]).fetchall()) < len(photos) * len(
            stages
        ):
            assert time.monotonic() < deadline, "photos do not end"
            time.sleep(ASK_EVERY_SECONDS)

    def count(self, query: str, *values: object) -> int:
        """Ask the database for one number; from any thread."""
        (row,) = self.connection.execute(query.encode(), values).fetchall()
        return int(next(iter(row.values())))

    def seconds_to(self, stages: Sequence[str], photo: bytes) -> float:
        """From the first byte of an upload until these stages have ended."""
        began = time.perf_counter()
        self.wait([self.upload(photo)], stages)
        return time.perf_counter() - began


@contextmanager
def embedded(folder: Path, settings: dict[str, str]) -> Iterator[Watched]:
    """Run the embedded profile for the block's time."""
    folder.mkdir()
    gallery = Gallery(folder / "data", settings, patience_seconds=PATIENCE_SECONDS)
    with gallery.up(), database(gallery.data) as connection:
        place = gallery.address()
        token = (gallery.data / "owner.token").read_text().strip()
        yield Watched(gallery, place["url"], token, connection, lambda: tree(place["pid"]))


@contextmanager
def distributed(folder: Path, settings: dict[str, str]) -> Iterator[tuple[Watched, Distributed]]:
    """Run the distributed profile for the block's time, one process of each role."""
    engines = Engines.in_folder(folder / "engines")
    with engines.running(), Distributed(folder, engines, settings).running() as gallery:
        command = Gallery(
            folder / "client",
            {**settings, "GALLERY_TOKEN": TOKEN},
            patience_seconds=PATIENCE_SECONDS,
            server=gallery.gateway,
        )
        with psycopg.connect(engines.postgres.url, row_factory=dict_row, autocommit=True) as connection:
            yield Watched(command, gallery.gateway, TOKEN, connection, lambda: tree(os.getpid())[1:]), gallery
