import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from support.models import RUNTIME
from support.pictures import read_picture

from gallery.ml_worker.packs import (
    BadPackError,
    LicenceNotAcceptedError,
    MissingWeightsError,
    Shelf,
    TagPack,
    UnknownPackError,
    choose_faces,
    choose_tags,
    read_packs,
)
from gallery.ml_worker.recognition import load_tags

PACKS = read_packs(Path(__file__).resolve().parents[4] / "packs")
NOTHING: tuple[str, ...] = ()

# Words that count as seeing what each file is named after; the files named after nothing in ImageNet are left out.
NAMED = {
    "beach": {"seashore", "sandbar", "lakeside"},
    "palms": {"seashore", "sandbar"},
    "cat": {"Egyptian cat", "tabby", "tiger cat", "Siamese cat", "Persian cat"},
    "clock": {"wall clock", "analog clock"},
    "dog": {"pug"},
    "door": {"sliding door"},
    "elephants": {"African elephant", "Indian elephant", "tusker"},
    "fish": {"goldfish", "anemone fish", "rock beauty"},
    "grace": {"military uniform"},
    "hot": {"hotdog"},
    "parrot": {"macaw"},
    "pets": {"Boston bull", "Italian greyhound"},
    "sharks": {"hammerhead", "great white shark", "tiger shark"},
    "table": {"dining table"},
    "turtle": {"loggerhead", "leatherback turtle"},
}


def test_the_shipped_packs_are_those_of_the_interfaces() -> None:
    assert set(PACKS) == {
        "scrfd-edgeface", "scrfd-w600k", "det500m-edgeface", "yunet-edgeface", "mobilenet-v2", "dlib",
    }  # fmt: skip


def test_auto_without_any_weights_is_the_offline_pack_and_says_so() -> None:
    choice = choose_faces(PACKS, Shelf([]), wanted="auto", accepted=NOTHING)
    assert choice.pack.name == "dlib"
    assert "GALLERY_FACE_PACK" in choice.notice
    assert choose_tags(PACKS, Shelf([]), wanted="auto", accepted=NOTHING) is None


def test_a_pack_by_name_whose_weights_are_missing_says_where_they_come_from() -> None:
    with pytest.raises(MissingWeightsError, match="GALLERY_PACKS_PATH"):
        choose_faces(PACKS, Shelf([]), wanted="scrfd-edgeface", accepted=["non-commercial"])
    with pytest.raises(MissingWeightsError, match="google-coral"):
        choose_tags(PACKS, Shelf([]), wanted="mobilenet-v2", accepted=NOTHING)


def test_a_non_commercial_pack_wants_its_licence_accepted(shared: Path) -> None:
    shelf = Shelf([shared / "models"])
    with pytest.raises(LicenceNotAcceptedError, match="GALLERY_ACCEPT_LICENCES=non-commercial"):
        choose_faces(PACKS, shelf, wanted="scrfd-edgeface", accepted=NOTHING)
    choice = choose_faces(PACKS, shelf, wanted="scrfd-edgeface", accepted=["non-commercial"])
    assert (choice.pack.name, choice.notice) == ("scrfd-edgeface", "")


def test_an_unknown_pack_or_one_of_another_kind_is_named() -> None:
    with pytest.raises(UnknownPackError, match="nonsense"):
        choose_faces(PACKS, Shelf([]), wanted="nonsense", accepted=NOTHING)
    with pytest.raises(UnknownPackError, match="not for tags"):
        choose_tags(PACKS, Shelf([]), wanted="dlib", accepted=NOTHING)


def test_weights_are_found_by_content_whatever_their_name(shared: Path, tmp_path: Path) -> None:
    pack = PACKS["yunet-edgeface"]
    shutil.copy(shared / "models" / pack.weights[0].file, tmp_path / "renamed.bin")
    assert Shelf([tmp_path]).find(pack.weights[0]).name == "renamed.bin"
    (tmp_path / "renamed.bin").write_bytes(b"something else")
    with pytest.raises(MissingWeightsError):
        Shelf([tmp_path]).find(pack.weights[0])


def test_a_pack_file_with_a_mistake_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text('kind = "faces"\nname = "odd"\n')
    with pytest.raises(BadPackError, match=r"odd\.toml"):
        read_packs(tmp_path)


def test_things_that_imagenet_knows_are_among_the_tags(shared: Path) -> None:
    pack = PACKS["mobilenet-v2"]
    assert isinstance(pack, TagPack)
    tagger = load_tags(pack, Shelf([shared / "models"]), RUNTIME)
    files = [file for file in sorted((shared / "photos/objects").iterdir()) if kind_of(file) in NAMED]
    shown = tagger.tag([read_picture(file) for file in files])
    right = [
        bool({tag.label for tag in one.tags} & NAMED[kind_of(file)]) for file, one in zip(files, shown, strict=True)
    ]
    assert len(files) == 18
    assert sum(right) / len(files) >= 0.8
    assert all(len(one.tags) <= 5 and all(tag.score >= pack.floor for tag in one.tags) for one in shown)


def kind_of(file: Path) -> str:
    return file.stem.split("_")[0]


def test_a_picture_has_one_vector_that_batching_does_not_change(shared: Path) -> None:
    pack = PACKS["mobilenet-v2"]
    assert isinstance(pack, TagPack)
    tagger = load_tags(pack, Shelf([shared / "models"]), RUNTIME)
    images = [skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee()]
    shown = tagger.tag(images)
    assert {tag.label for tag in shown[1].tags} >= {"Egyptian cat", "tabby"}
    assert shown[2].tags[0].label == "espresso"
    for image, one in zip(images, shown, strict=True):
        assert one.vector.shape == (pack.dimension,)
        assert float(np.linalg.norm(one.vector)) == pytest.approx(1, abs=1e-5)
        assert float(tagger.tag([image])[0].vector @ one.vector) > 0.99999
    assert tagger.tag([]) == []
