"""The canonical grouping: what it promises whatever comes in, and what it does on real faces."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.models import RUNTIME
from support.pictures import read_picture

from gallery.ml_worker.packs import FacePack, Shelf, read_packs
from gallery.ml_worker.people.evidence import explain
from gallery.ml_worker.people.grouping import GroupingFace, group
from gallery.ml_worker.people.naming import name_groups
from gallery.ml_worker.recognition import load_faces

PACKS = read_packs(Path(__file__).resolve().parents[4] / "packs")
TOGETHER = 0.4


def face(number: int, *, photo: str = "", person: str = "", vector: Sequence[float] = (1, 0, 0)) -> GroupingFace:
    direction = np.array(vector, np.float32)
    return GroupingFace(f"{number:04}", photo or str(number), direction / np.linalg.norm(direction), person)


@st.composite
def libraries(draw: st.DrawFn) -> list[GroupingFace]:
    """Faces of a few people, noisy, several a photo, some of them named."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = random.normal(size=(draw(st.integers(1, 5)), 8))
    faces = []
    for number in range(draw(st.integers(1, 40))):
        who = int(random.integers(len(centres)))
        named = f"person {who}" if random.random() < 0.15 else ""
        vector = centres[who] + random.normal(scale=draw(st.sampled_from([0.0, 0.2, 0.8])), size=8)
        faces.append(face(number, photo=str(random.integers(12)), person=named, vector=vector.tolist()))
    return faces


def members(faces: Sequence[GroupingFace]) -> set[frozenset[str]]:
    return {frozenset(faces[index].key for index in indices) for indices in group(faces, together=TOGETHER)}


@settings(deadline=None)
@given(faces=libraries(), seed=st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_no_group(faces: list[GroupingFace], seed: Random) -> None:
    shuffled = list(faces)
    seed.shuffle(shuffled)
    assert members(shuffled) == members(faces)


@settings(deadline=None)
@given(faces=libraries())
def test_nobody_is_twice_in_a_photo_unless_people_said_so(faces: list[GroupingFace]) -> None:
    for indices in group(faces, together=TOGETHER):
        unnamed = [faces[index].photo for index in indices if not faces[index].person]
        assert len(unnamed) == len(set(unnamed))
        named = {faces[index].photo for index in indices if faces[index].person}
        assert not named & set(unnamed)


@settings(deadline=None)
@given(faces=libraries())
def test_what_people_named_stays_together_and_apart(faces: list[GroupingFace]) -> None:
    groups = group(faces, together=TOGETHER)
    assert sorted(index for indices in groups for index in indices) == list(range(len(faces)))
    where = {index: number for number, indices in enumerate(groups) for index in indices}
    named = [index for index, one in enumerate(faces) if one.person]
    for one in named:
        for other in named:
            assert (where[one] == where[other]) == (faces[one].person == faces[other].person)


def test_no_face_is_no_group() -> None:
    assert group([], together=TOGETHER) == []


def test_average_linkage_does_not_chain() -> None:
    angles = np.linspace(0, np.pi, 20)
    faces = [face(index, vector=(np.cos(angle), np.sin(angle), 0)) for index, angle in enumerate(angles)]
    assert len(group(faces, together=0.7)) > 2


def test_ids_follow_what_people_said_and_then_the_largest_overlap() -> None:
    a, b, c, d, e, f = (uuid4() for _ in range(6))
    anna, ben, new = uuid4(), uuid4(), uuid4()
    names = name_groups(
        [[a, b], [c, d, e], [f]], judged={a: anna}, former={b: ben, c: anna, d: ben, e: ben}, new_person=lambda: new
    )
    assert names == [anna, ben, None]
    assert name_groups([[a, b]], judged={}, former={}, new_person=lambda: new) == [new]
    assert name_groups([[f]], judged={f: anna}, former={}, new_person=lambda: new) == [anna]


def test_two_halves_of_a_former_group_share_no_id() -> None:
    a, b, c, d, e = (uuid4() for _ in range(5))
    anna, new = uuid4(), uuid4()
    names = name_groups(
        [[a, b], [c, d, e]], judged={}, former=dict.fromkeys([a, b, c, d, e], anna), new_person=lambda: new
    )
    assert names == [new, anna]


def test_evidence_names_examples_and_the_next_person() -> None:
    directions = [(1, 0, 0), (1, 0.1, 0), (0, 1, 0), (0, 1, 0.2), (0, 0, 1)]
    faces = [face(number, vector=direction) for number, direction in enumerate(directions)]
    vectors = np.stack([one.vector for one in faces])
    ids = [UUID(int=number) for number in range(5)]
    anna, ben = uuid4(), uuid4()
    evidence = explain(vectors, [[0, 1], [2, 3], [4]], faces=ids, people=[anna, ben, None], threshold=TOGETHER)
    assert evidence[0].runner_up == ben
    assert [example.face_id for example in evidence[0].examples] == [ids[1]]
    assert evidence[0].similarity is not None
    assert evidence[0].similarity > 0.99
    assert evidence[4].examples == ()
    assert evidence[4].similarity is not None
    assert evidence[4].similarity < TOGETHER


def faces_of(pack: str, models: Path | None, pictures: Sequence[tuple[str, np.ndarray]]) -> list[GroupingFace]:
    spec = PACKS[pack]
    assert isinstance(spec, FacePack)
    found = load_faces(spec, Shelf([models] if models else []), RUNTIME).find([picture for _, picture in pictures])
    return [
        GroupingFace(f"{name} {number}", name, one.vector)
        for (name, _), faces in zip(pictures, found, strict=True)
        for number, one in enumerate(faces)
        if not one.quality.reason
    ]


def threshold_of(pack: str) -> float:
    spec = PACKS[pack]
    assert isinstance(spec, FacePack)
    return spec.thresholds.together


def portraits_and_groups(shared: Path) -> list[tuple[str, np.ndarray]]:
    album = shared / "photos/albums/bbt"
    return [(f"{path.parent.name}/{path.name}", read_picture(path)) for path in sorted(album.rglob("*.[jp][pn]g"))]


def pair_score(groups: Sequence[Sequence[str]], total: int) -> tuple[float, float]:
    """Pairwise precision, and recall over people with five portraits each, found or not."""
    pairs = [(one, other) for names in groups for one in names for other in names if one < other]
    right = sum(one.split("/")[0] == other.split("/")[0] for one, other in pairs)
    return right / max(len(pairs), 1), right / total


def test_an_album_falls_into_its_people(shared: Path) -> None:
    faces = faces_of("scrfd-edgeface", shared / "models", portraits_and_groups(shared))
    groups = [
        [faces[index].photo for index in indices] for indices in group(faces, together=threshold_of("scrfd-edgeface"))
    ]
    portraits = [[photo for photo in photos if not photo.startswith("group")] for photos in groups]
    assert pair_score(portraits, 80) == (1.0, 1.0)
    for photos in groups:
        people = {photo.split("/")[0] for photo in photos} - {"group"}
        assert len(people) <= 1
    joined = [photo for photos in groups if len(photos) > 5 for photo in photos if photo.startswith("group")]
    assert len(joined) >= 15


def test_the_offline_pack_is_never_wrong_on_portraits_and_finds_most(shared: Path) -> None:
    pictures = [pair for pair in portraits_and_groups(shared) if not pair[0].startswith("group")]
    faces = faces_of("dlib", None, pictures)
    groups = [[faces[index].photo for index in indices] for indices in group(faces, together=threshold_of("dlib"))]
    precision, recall = pair_score(groups, 80)
    assert precision == 1.0
    assert recall >= 0.8


def test_crops_and_re_exposures_of_six_faces_are_six_people() -> None:
    import insightface

    image = read_picture(Path(insightface.__file__).parent / "data/images/t1.jpg")
    spec = PACKS["dlib"]
    assert isinstance(spec, FacePack)
    ((*found,),) = load_faces(spec, Shelf([]), RUNTIME).find([image])
    assert len(found) == 6
    pictures = [picture for number, one in enumerate(found) for picture in variants(image, one.detection.box, number)]
    faces = faces_of("dlib", None, pictures)
    groups = group(faces, together=threshold_of("dlib"))
    people = [{faces[index].photo.split("/")[0] for index in indices} for indices in groups if len(indices) > 1]
    assert sorted(map(sorted, people)) == [[str(number)] for number in range(6)]


def variants(image: np.ndarray, box: tuple[float, ...], number: int) -> list[tuple[str, np.ndarray]]:
    """Wide and tight crops, brighter and darker."""
    x, y, width, height = (round(side) for side in box)
    crops = []
    for air in (0.6, 0.25):
        left, top = max(0, round(x - air * width)), max(0, round(y - air * height))
        crops.append(image[top : round(y + (1 + air) * height), left : round(x + (1 + air) * width)])
    bright = np.clip(crops[0].astype(np.float32) * 1.3, 0, 255).astype(np.uint8)
    dark = (crops[0] * 0.6).astype(np.uint8)
    return [(f"{number}/{index}", crop) for index, crop in enumerate([*crops, bright, dark])]
