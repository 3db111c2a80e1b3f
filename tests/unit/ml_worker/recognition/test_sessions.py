"""Every runtime says the same: vectors to the last digits, boxes to a pixel or two."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import insightface
import numpy as np
import pytest
from support.models import RUNTIME
from support.pictures import read_picture

from gallery.ml_worker.errors import RuntimeUnavailableError
from gallery.ml_worker.packs import FacePack, Shelf, TagPack, read_packs
from gallery.ml_worker.recognition import FoundFace, load_faces
from gallery.ml_worker.sessions import Runtime, RuntimeName, open_runtime

PACKS = read_packs(Path(__file__).resolve().parents[4] / "packs")
T1 = Path(insightface.__file__).parent / "data/images/t1.jpg"
OVERLAP = 0.9
"""Intersection over union of one face's two boxes; recognition does not see a smaller difference."""


@pytest.fixture(scope="module")
def openvino() -> Runtime:
    return open_runtime(RuntimeName.OPENVINO, threads=2)


def pictures(shared: Path) -> list[np.ndarray]:
    folders = ("albums/bbt", "facecount")
    paths = [path for folder in folders for path in sorted((shared / "photos" / folder).rglob("*.[jp][pn]g"))]
    return [read_picture(path) for path in [T1, *paths]]


def overlap(one: FoundFace, other: FoundFace) -> float:
    boxes = np.array([one.detection.box, other.detection.box])
    near, far = boxes[:, :2].max(axis=0), (boxes[:, :2] + boxes[:, 2:]).min(axis=0)
    shared = float(np.prod(np.maximum(far - near, 0)))
    return shared / (float(np.prod(boxes[:, 2:], axis=1).sum()) - shared)


def faces_of(shared: Path, images: Sequence[np.ndarray], runtime: Runtime) -> list[list[FoundFace]]:
    pack = PACKS["scrfd-edgeface"]
    assert isinstance(pack, FacePack)
    return load_faces(pack, Shelf([shared / "models"]), runtime).find(images)


def test_the_faster_detector_finds_the_same_faces(shared: Path, openvino: Runtime) -> None:
    images = pictures(shared)
    exact, fast = (faces_of(shared, images, runtime) for runtime in (RUNTIME, openvino))
    sure = 0
    for one, other in zip(exact, fast, strict=True):
        for face in one:
            if face.detection.score < 0.6:  # at the pack's threshold of 0.5 a breath decides
                continue
            nearest = max(other, key=lambda found: overlap(face, found))
            assert overlap(face, nearest) > OVERLAP
            assert float(face.vector @ nearest.vector) > OVERLAP, "and they look alike"
            sure += 1
    assert sure >= len(images)


def test_what_must_be_exact_is(shared: Path, openvino: Runtime) -> None:
    crops = np.random.default_rng(1).random((8, 3, 112, 112), np.float32) * 2 - 1
    path = shared / "models/edgeface_xs.onnx"
    (ours,), (theirs,) = (runtime.load(path).run({"input": crops}) for runtime in (RUNTIME, openvino))
    assert np.abs(ours - theirs).max() < 1e-4


def test_an_inner_value_comes_out_of_each(shared: Path, openvino: Runtime) -> None:
    pack = PACKS["mobilenet-v2"]
    assert isinstance(pack, TagPack)
    image = np.random.default_rng(1).integers(0, 255, (2, 224, 224, 3), np.uint8)
    path = shared / "models" / pack.network.file
    for runtime in (RUNTIME, openvino):
        probabilities, features = runtime.load(path, also=[pack.features]).run({pack.input: image})
        assert probabilities.shape == (2, 1001)
        assert features.reshape(2, -1).shape[1] == pack.dimension


@pytest.mark.parametrize("name", [RuntimeName.ONNXRUNTIME, RuntimeName.OPENVINO])
def test_threads_do_not_see_each_other_s_answers(shared: Path, name: RuntimeName) -> None:
    session = open_runtime(name, threads=2).load(shared / "models/edgeface_xs.onnx")
    crops = np.random.default_rng(1).random((16, 3, 112, 112), np.float32)
    alone = [session.run({"input": crop[None]})[0] for crop in crops]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda crop: session.run({"input": crop[None]})[0], crops))
    assert all(np.allclose(one, other, atol=1e-5) for one, other in zip(alone, together, strict=True))


def test_what_is_not_there_says_how_to_get_it() -> None:
    with pytest.raises(RuntimeUnavailableError, match="cuda"):
        open_runtime(RuntimeName.CUDA, threads=1)
