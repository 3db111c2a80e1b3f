from pathlib import Path

import cv2
import insightface
import numpy as np
import pytest
import skimage.data
from support.models import RUNTIME
from support.pictures import read_picture

from gallery.ml_worker.looking import Looking
from gallery.ml_worker.packs import FacePack, Shelf, TagPack, read_packs
from gallery.ml_worker.ports import Looker

PACKS = read_packs(Path(__file__).resolve().parents[4] / "packs")


def looking(models: Path | None, faces: str, tags: str | None) -> Looker:
    face_pack, tag_pack = PACKS[faces], PACKS[tags] if tags else None
    assert isinstance(face_pack, FacePack)
    assert tag_pack is None or isinstance(tag_pack, TagPack)
    return Looking.load(Shelf([models] if models else []), RUNTIME, faces=face_pack, tags=tag_pack)


def test_boxes_are_shares_of_the_picture_whatever_its_size(shared: Path) -> None:
    looker = looking(shared / "models", "scrfd-edgeface", "mobilenet-v2")
    path = Path(insightface.__file__).parent / "data/images/t1.jpg"
    large = read_picture(path)
    small = np.asarray(cv2.resize(large, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), np.uint8)
    one, other, cat = looker.look([large, small, skimage.data.chelsea()])
    assert len(one.faces) == len(other.faces) == 6
    for face in one.faces:
        nearest = min(other.faces, key=lambda seen: abs(seen.box[0] - face.box[0]) + abs(seen.box[1] - face.box[1]))
        assert np.abs(np.array(nearest.box) - face.box).max() < 0.005
        assert float(nearest.vector @ face.vector) > 0.9
        assert face.ignored is None
    assert cat.faces == ()
    assert any("cat" in tag.label for tag in cat.tags)
    assert cat.image_vector is not None
    assert (looker.face_pack, looker.tag_pack) == ("scrfd-edgeface", "mobilenet-v2")


def test_without_a_tag_pack_there_are_no_tags() -> None:
    looker = looking(None, "dlib", None)
    (seen,) = looker.look([skimage.data.astronaut()])
    assert (len(seen.faces), seen.tags, seen.image_vector) == (1, (), None)
    assert np.linalg.norm(seen.faces[0].vector) == pytest.approx(1, abs=1e-5)
    assert looker.look([]) == []
