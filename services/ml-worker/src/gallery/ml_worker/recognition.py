"""Loaded models, ready to look at pictures: built from packs, once per process."""

from collections.abc import Sequence
from dataclasses import dataclass

from gallery.ml_worker.faces.detection import Detection, Detector, Floats, Image, TwoLooks
from gallery.ml_worker.faces.dlib import DlibDetector, DlibEmbedder
from gallery.ml_worker.faces.embedding import ArcFaceEmbedder, Embedder
from gallery.ml_worker.faces.quality import ARCFACE_POINTS, DLIB_POINTS, FacePoints, FaceQuality, measure
from gallery.ml_worker.faces.scrfd import ScrfdHead
from gallery.ml_worker.faces.yunet import YunetHead
from gallery.ml_worker.packs import DetectorSpec, EmbedderSpec, FacePack, Shelf, TagPack
from gallery.ml_worker.sessions import Runtime
from gallery.ml_worker.tags import ImageNetTagger, read_labels
from gallery.runtime import metrics


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """One face of one picture.

    Attributes:
        detection: Where it is, in pixels of the picture that was looked at.
        quality: What was measured of it.
        vector: Shape (dimension,), length 1.
    """

    detection: Detection
    quality: FaceQuality
    vector: Floats


class FaceModels:
    """One face pack, loaded."""

    def __init__(self, detector: Detector, embedder: Embedder, points: FacePoints) -> None:
        """Keep the parts; ``points`` says how the detector names its landmarks."""
        self._detector = detector
        self._embedder = embedder
        self._points = points

    def find(self, images: Sequence[Image]) -> list[list[FoundFace]]:
        """The faces of each picture, the surest first; vectors are computed in batches over all pictures."""
        with metrics.BATCH_TIME.labels("detect").time():
            seen = [self._detector.detect(image) for image in images]
        with metrics.BATCH_TIME.labels("embed").time():
            crops = [
                [self._embedder.crop(image, face) for face in faces] for image, faces in zip(images, seen, strict=True)
            ]
            vectors = iter(self._embedder.embed([crop for row in crops for crop in row]))
        return [
            [
                FoundFace(face, measure(face, crop, self._points), next(vectors))
                for face, crop in zip(faces, row, strict=True)
            ]
            for faces, row in zip(seen, crops, strict=True)
        ]


def load_faces(pack: FacePack, shelf: Shelf, runtime: Runtime) -> FaceModels:
    """Load a face pack.

    Raises:
        MissingWeightsError: A file is not there.
    """
    points = DLIB_POINTS if pack.detector.family == "dlib" else ARCFACE_POINTS
    return FaceModels(_detector(pack.detector, shelf, runtime), _embedder(pack.embedder, shelf, runtime), points)


def load_tags(pack: TagPack, shelf: Shelf, runtime: Runtime) -> ImageNetTagger:
    """Load a tag pack.

    Raises:
        MissingWeightsError: A file is not there.
    """
    session = runtime.load(shelf.find(pack.network), also=[pack.features])
    labels = read_labels(shelf.find(pack.labels))
    return ImageNetTagger(session, input_name=pack.input, labels=labels, floor=pack.floor)


def _detector(spec: DetectorSpec, shelf: Shelf, runtime: Runtime) -> Detector:
    path = shelf.find(spec.weights)
    if spec.family == "dlib":
        return DlibDetector(path, score=spec.score, overlap=spec.overlap)
    family = ScrfdHead if spec.family == "scrfd" else YunetHead
    head = family(runtime.load(path, exact=False), input_name=spec.input, score=spec.score)
    return TwoLooks(head, looks=spec.looks, overlap=spec.overlap)


def _embedder(spec: EmbedderSpec, shelf: Shelf, runtime: Runtime) -> Embedder:
    path = shelf.find(spec.weights)
    if spec.family == "dlib":
        return DlibEmbedder(path)
    return ArcFaceEmbedder(
        runtime.load(path), input_name=spec.input, dimension=spec.dimension, mean=spec.mean, scale=spec.scale
    )
