import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from gallery.ml_worker.faces.alignment import TEMPLATE, align, similarity
from gallery.ml_worker.faces.detection import Detection
from gallery.ml_worker.faces.quality import ARCFACE_POINTS, DLIB_POINTS, frontal_of, measure


@given(
    turn=st.floats(-3, 3),
    scale=st.floats(0.05, 20),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_a_turned_scaled_and_shifted_face_comes_back_to_the_template(
    turn: float, scale: float, shift: tuple[float, float]
) -> None:
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = TEMPLATE @ rotation.T + shift
    matrix = similarity(moved.astype(np.float64), TEMPLATE)
    assert np.abs(moved @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE).max() < 1e-3


def test_landmarks_in_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match="one point"):
        similarity(np.ones((5, 2), np.float32), TEMPLATE)


def test_a_large_face_is_averaged_and_stays_in_its_place() -> None:
    random = np.random.default_rng(5)
    noise = random.integers(0, 255, (160, 160, 3)).astype(np.uint8)
    small = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)
    large = np.asarray(cv2.resize(small, (960, 960), interpolation=cv2.INTER_CUBIC), np.uint8)
    near, far = align(small, TEMPLATE + 20), align(large, (TEMPLATE + 20.5) * 6 - 0.5)
    assert np.abs(near.astype(int) - far).mean() < 2


def test_a_face_that_reaches_over_the_edge_is_still_cut_out() -> None:
    image = np.full((300, 300, 3), 90, np.uint8)
    assert align(image, TEMPLATE * 5 - 150).shape == (112, 112, 3)


@pytest.mark.parametrize("shape", [(3, 3000, 3), (3000, 3, 3), (20, 20, 3)])
def test_a_face_that_is_hardly_in_the_picture_is_no_accident(shape: tuple[int, int, int]) -> None:
    assert align(np.zeros(shape, np.uint8), TEMPLATE * 20 - 40).shape == (112, 112, 3)
    assert align(np.zeros(shape, np.uint8), TEMPLATE * 20 - 4000).shape == (112, 112, 3)


def face_at(landmarks: np.ndarray, size: float = 120) -> Detection:
    return Detection((0, 0, size, size), 0.9, landmarks.astype(np.float32))


def test_a_sharp_large_face_counts_more_than_a_blurred_or_small_one() -> None:
    crop = skimage.data.astronaut()[60:172, 168:280]
    sharp = measure(face_at(TEMPLATE), crop, ARCFACE_POINTS)
    blurred = measure(face_at(TEMPLATE), cv2.GaussianBlur(crop, (0, 0), 6), ARCFACE_POINTS)
    tiny = measure(face_at(TEMPLATE, size=12), crop, ARCFACE_POINTS)
    assert 1 >= sharp.score > 0.9
    assert sharp.reason == ""
    assert blurred.reason == "too_blurry"
    assert tiny.reason == "too_small"
    assert blurred.score < sharp.score > tiny.score


def test_a_profile_is_not_frontal() -> None:
    turned = TEMPLATE.copy()
    turned[2, 0] = TEMPLATE[1, 0]
    assert frontal_of(face_at(TEMPLATE), ARCFACE_POINTS) > 0.9
    assert frontal_of(face_at(turned), ARCFACE_POINTS) == pytest.approx(0, abs=0.05)
    five = np.array([[70, 50], [60, 50], [30, 50], [40, 50], [50, 70]])
    assert frontal_of(face_at(five), DLIB_POINTS) == pytest.approx(1)
