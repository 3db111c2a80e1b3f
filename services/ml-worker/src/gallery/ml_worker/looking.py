"""Looking at photos with the packs in use: faces, tags and vectors of several pictures at once."""

from collections.abc import Sequence

import cv2
import numpy as np

from gallery.ml_worker.domain import Picture, Seen, SeenFace
from gallery.ml_worker.packs import FacePack, Shelf, TagPack
from gallery.ml_worker.recognition import FaceModels, FoundFace, load_faces, load_tags
from gallery.ml_worker.sessions import Runtime
from gallery.ml_worker.tags import ImageNetTagger, Shown


class Looking:
    """Loaded models of at most one pack a kind; blocks while it looks."""

    def __init__(
        self, faces: FaceModels, tagger: ImageNetTagger | None, *, face_pack: str, tag_pack: str | None
    ) -> None:
        """Keep the models and the names of their packs."""
        self._faces = faces
        self._tagger = tagger
        self.face_pack: str | None = face_pack
        self.tag_pack: str | None = tag_pack

    @classmethod
    def load(cls, shelf: Shelf, runtime: Runtime, *, faces: FacePack, tags: TagPack | None) -> "Looking":
        """Load the weights, which takes about a second.

        Raises:
            MissingWeightsError: A file is not there.
        """
        cv2.setNumThreads(1)  # cores are shared out by processes; OpenCV's own threads would only fight over them
        tagger = load_tags(tags, shelf, runtime) if tags else None
        return cls(
            load_faces(faces, shelf, runtime), tagger, face_pack=faces.name, tag_pack=tags.name if tags else None
        )

    def look(self, pictures: Sequence[Picture]) -> Sequence[Seen]:
        """What is in each picture, in their order."""
        found = self._faces.find(pictures)
        shown = self._tagger.tag(pictures) if self._tagger else [None] * len(pictures)
        return [_seen(*one) for one in zip(pictures, found, shown, strict=True)]


def _seen(picture: Picture, faces: Sequence[FoundFace], shown: Shown | None) -> Seen:
    height, width = picture.shape[:2]
    size = np.array([width, height], np.float32)
    return Seen(
        faces=tuple(_seen_face(face, size) for face in faces),
        tags=shown.tags if shown else (),
        image_vector=shown.vector if shown else None,
    )


def _seen_face(face: FoundFace, size: np.ndarray[tuple[int], np.dtype[np.float32]]) -> SeenFace:
    """Pixels become shares, so that whoever stores them needs not know at which size they were found."""
    left, top, width, height = face.detection.box
    corners = np.array([[left, top], [left + width, top + height]]) / size
    (x, y), (right, bottom) = np.clip(corners, 0, 1)  # a detector guesses on where a face is cut by the edge
    return SeenFace(
        box=(float(x), float(y), float(right - x), float(bottom - y)),
        score=face.detection.score,
        quality=face.quality.score,
        landmarks=face.detection.landmarks / size,
        vector=face.vector,
        ignored=face.quality.reason or None,
    )
