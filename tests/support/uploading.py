"""Uploads without a pause, whatever happens to the gallery, and a journal of what it acknowledged."""

import hashlib
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import httpx
import numpy as np
import skimage.data
from PIL import Image
from support.pictures import saved

UPLOADERS = 8
PATIENCE_SECONDS = 20
PAUSE_SECONDS = 0.2
BETWEEN_UPLOADS_SECONDS = 2.0
"""Of each; four photos a second together leave two cores room for faults."""
PORTRAITS = 20
"""One picture of so many shows a face."""


def picture(seed: int, number: int) -> bytes:
    """A small photo like no other: noise, or a face behind some noise."""
    chance = np.random.default_rng([seed, number])
    if number % PORTRAITS:
        return _packed(chance.integers(0, 255, (72, 96, 3)))
    face = skimage.data.astronaut()[:200, 130:330].astype(np.int64)
    return _packed(np.clip(face + chance.integers(-12, 13, face.shape), 0, 255))


def _packed(pixels: np.ndarray) -> bytes:
    return saved(Image.fromarray(pixels.astype(np.uint8)), "JPEG", quality=80)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A photo that the gallery took.

    Attributes:
        number: Of the picture.
        photo: The id that it got.
        at: When the answer had come.
    """

    number: int
    photo: UUID
    at: datetime


@dataclass
class Feeder:
    """Uploads each picture again and again until it is acknowledged.

    Attributes:
        url: Of the public API.
        token: Opens it.
        seed: Of the pictures.
        busy: Told how many of its photos were acknowledged, says whether enough is on its way for now.
        beside: Told the number of each picture that was acknowledged.
        journal: By the picture's sha256; photos of others may be there, too.
        refused: Answers, and connections without one, after which the same picture was sent again.
    """

    url: str
    token: str
    seed: int
    busy: Callable[[int], bool]
    beside: Callable[[int], None]
    journal: dict[bytes, Acknowledged]
    refused: Counter[str] = field(default_factory=Counter)
    _acknowledged: list[int] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """Upload from threads for the block's time; at its end, what was begun is ended."""
        with ThreadPoolExecutor(UPLOADERS, thread_name_prefix="uploads") as threads:
            running = [threads.submit(self._run) for _ in range(UPLOADERS)]
            try:
                yield
            finally:
                self._done.set()
        for each in running:
            each.result()

    def _run(self) -> None:
        with httpx.Client(headers={"authorization": f"Bearer {self.token}"}, timeout=PATIENCE_SECONDS) as client:
            while not self._done.is_set():
                if not self.busy(len(self._acknowledged)):
                    self._upload(client, next(self._numbers))
                self._done.wait(BETWEEN_UPLOADS_SECONDS)

    def _upload(self, client: httpx.Client, number: int) -> None:
        content = picture(self.seed, number)
        digest = hashlib.sha256(content).digest()
        while (photo := self._send(client, f"{number}.jpg", content)) is None:
            time.sleep(random.uniform(PAUSE_SECONDS, 4 * PAUSE_SECONDS))
        self.journal[digest] = Acknowledged(number, photo, datetime.now(UTC))
        self._acknowledged.append(number)
        self.beside(number)

    def _send(self, client: httpx.Client, name: str, content: bytes) -> UUID | None:
        try:
            answer = client.post(f"{self.url}/api/v1/uploads", files={"file": (name, content)})
        except httpx.TransportError as error:
            self.refused[type(error).__name__] += 1
            return None
        if answer.is_success and (photo := answer.json()["uploads"][0].get("photo")):
            return UUID(photo)
        self.refused[str(answer.status_code)] += 1
        return None
