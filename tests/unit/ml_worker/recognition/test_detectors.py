"""Our SCRFD against InsightFace's own, and the second look."""

from pathlib import Path

import insightface
import numpy as np
import pytest
from support.models import RUNTIME
from support.pictures import read_picture

from gallery.ml_worker.faces.detection import Candidates, Detection, TwoLooks, letterbox, suppress
from gallery.ml_worker.faces.scrfd import ScrfdHead
from gallery.ml_worker.packs import FacePack, Shelf, read_packs
from gallery.ml_worker.recognition import load_faces
from gallery.ml_worker.sessions.onnx import OnnxSession

PACKS = Path(__file__).resolve().parents[4] / "packs"
T1 = Path(insightface.__file__).parent / "data/images/t1.jpg"


def reference_of(model: Path, image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """What InsightFace finds on the same canvases."""
    from insightface.model_zoo import get_model

    sizes = [letterbox(image, side)[0].shape[1::-1] for side in (128, 640)]
    theirs = get_model(str(model), providers=["CPUExecutionProvider"])
    theirs.prepare(-1, det_thresh=0.5, nms_thresh=0.4)
    return list(zip(*theirs.detect(image[:, :, ::-1], input_size=sizes), strict=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["t1", "albums/bbt/group/bbt3.jpg", "facecount/18.jpg", "facecount/6.jpg", "albums/bbt/amy/amy1.png"]
)
def test_boxes_and_landmarks_are_those_of_insightface(shared: Path, name: str) -> None:
    image = read_picture(T1 if name == "t1" else shared / "photos" / name)
    model = shared / "models/scrfd_2.5g_kps.onnx"
    head = ScrfdHead(OnnxSession(model), input_name="images", score=0.5)
    ours = TwoLooks(head, looks=(640, 128), overlap=0.4).detect(image)
    theirs = reference_of(model, image)
    assert len(ours) == len(theirs) > 0
    for box, landmarks in theirs:
        nearest = min(ours, key=lambda face: np.abs(face.landmarks - landmarks).max())
        x, y, width, height = nearest.box
        assert np.abs(np.array([x, y, x + width, y + height]) - box[:4]).max() <= 1
        assert np.abs(nearest.landmarks - landmarks).max() <= 1


@pytest.mark.parametrize("pack", ["scrfd-edgeface", "det500m-edgeface", "yunet-edgeface"])
def test_every_portrait_that_fills_the_frame_has_its_face(shared: Path, pack: str) -> None:
    models = load_faces(face_pack(pack), Shelf([shared / "models"]), RUNTIME)
    portraits = sorted((shared / "photos/albums/bbt").glob("*/*.png"))
    found = models.find([read_picture(path) for path in portraits])
    assert len(portraits) == 40
    assert all(found)


def test_one_look_alone_misses_faces_that_fill_the_frame(shared: Path) -> None:
    head = ScrfdHead(OnnxSession(shared / "models/scrfd_2.5g_kps.onnx"), input_name="images", score=0.5)
    large = TwoLooks(head, looks=(640,), overlap=0.4)
    portraits = sorted((shared / "photos/albums/bbt").glob("*/*.png"))[:10]
    assert sum(bool(large.detect(read_picture(path))) for path in portraits) < 5


def test_batching_over_photos_changes_no_vector(shared: Path) -> None:
    models = load_faces(face_pack("scrfd-edgeface"), Shelf([shared / "models"]), RUNTIME)
    images = [
        read_picture(T1),
        *(read_picture(path) for path in sorted((shared / "photos/albums/bbt/group").glob("*"))),
    ]
    together = models.find(images)
    assert sum(len(faces) for faces in together) > 16
    for image, faces in zip(images, together, strict=True):
        (alone,) = models.find([image])
        assert [face.detection.box for face in alone] == [face.detection.box for face in faces]
        for one, other in zip(alone, faces, strict=True):
            assert float(one.vector @ other.vector) > 0.99999


def test_dlib_finds_the_six_faces_and_a_tight_crop() -> None:
    models = load_faces(face_pack("dlib"), Shelf([]), RUNTIME)
    image = read_picture(T1)
    ((*faces,),) = models.find([image])
    assert len(faces) == 6
    x, y, width, height = (round(side) for side in faces[0].detection.box)
    (tight,) = models.find([image[y : y + height, x : x + width]])
    assert len(tight) == 1
    assert float(tight[0].vector @ faces[0].vector) > 0.94


def test_an_empty_picture_has_no_face() -> None:
    nothing = TwoLooks(SilentHead(), looks=(640, 128), overlap=0.4)
    assert nothing.detect(np.zeros((0, 10, 3), np.uint8)) == []
    assert nothing.detect(np.zeros((3, 900, 3), np.uint8)) == []


def test_of_overlapping_candidates_the_surest_stays() -> None:
    corners = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], np.float32)
    seen = Candidates(corners, np.array([0.6, 0.9, 0.7], np.float32), np.zeros((3, 5, 2), np.float32))
    assert suppress(seen, overlap=0.4).tolist() == [1, 2]


def test_a_wide_picture_is_scaled_back_exactly_on_both_axes() -> None:
    _, (across, down) = letterbox(np.zeros((768, 1366, 3), np.uint8), 640)
    assert across == 1366 / 640
    assert down == 768 / 359


class SilentHead:
    def candidates(self, image: np.ndarray) -> Candidates:
        assert image.shape[0] % 32 == image.shape[1] % 32 == 0
        return Candidates(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


def face_pack(name: str) -> FacePack:
    pack = read_packs(PACKS)[name]
    assert isinstance(pack, FacePack)
    return pack


def test_faces_have_boxes_inside_the_picture_they_came_from(shared: Path) -> None:
    models = load_faces(face_pack("scrfd-edgeface"), Shelf([shared / "models"]), RUNTIME)
    image = read_picture(T1)
    ((*faces,),) = models.find([image])
    boxes = [face.detection for face in faces]
    assert all(isinstance(box, Detection) and 0 <= box.box[0] < image.shape[1] for box in boxes)
    assert all(0.2 < face.quality.score <= 1 and face.quality.reason == "" for face in faces)
