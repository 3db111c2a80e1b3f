"""Sidecars are found by name: an exporter as Google's behaves, and the names that are known from its exports."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.cli.takeout_names import LONGEST_PHOTO, LONGEST_SIDECAR, SUFFIX, candidates

LETTERS = string.ascii_letters + string.digits + "_äß写真"
STEMS = st.integers(1, 70).flatmap(lambda length: st.text(LETTERS, min_size=length, max_size=length))
TITLES = st.builds(str.__add__, STEMS, st.sampled_from([".jpg", ".JPG", ".heic", ".mp4", ".jpeg", ""]))
COUNTERS = st.sampled_from(["", "(1)", "(2)", "(10)"])
WORDS = st.sampled_from(["edited", "bearbeitet", "modifié", "editado", "編集済み", "수정됨"])


def names_of(photo: str) -> list[str]:
    return [candidate.name for candidate in candidates(photo)]


def photo_of(title: str, counter: str = "", word: str = "") -> str:
    """The name under which a photo of this title is exported."""
    stem, dot, ending = title.rpartition(".") if "." in title else (title, "", "")
    stem += f"-{word}" if word else ""
    return stem[: LONGEST_PHOTO - len(dot + ending)] + counter + dot + ending


@given(TITLES, COUNTERS, st.sampled_from(["", SUFFIX]), st.sampled_from(["counted", "not counted"]))
def test_every_photo_finds_the_sidecar_that_was_written_for_it(
    title: str, counter: str, suffix: str, counting: str
) -> None:
    cut = LONGEST_SIDECAR - (len(counter) if counting == "counted" else 0)
    sidecar = f"{(title + suffix)[:cut]}{counter}.json"
    assert sidecar in names_of(photo_of(title, counter))


@given(TITLES, COUNTERS, st.sampled_from(["", SUFFIX]), WORDS)
def test_an_edited_copy_finds_its_originals(title: str, counter: str, suffix: str, word: str) -> None:
    photo = photo_of(title, counter, word)
    if f"-{word[:3]}" in photo:  # else nothing in the name tells that it is a copy
        assert f"{(title + suffix)[:LONGEST_SIDECAR]}{counter}.json" in names_of(photo)


@given(st.text(min_size=1, max_size=80))
def test_any_name_at_all_has_a_sidecar_of_its_own_before_all_others(name: str) -> None:
    assert names_of(name)[0] == f"{name}.json"


@pytest.mark.parametrize(
    ("photo", "sidecar"),
    [
        ("IMG_1.jpg", "IMG_1.jpg.json"),
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        ("IMG_1(1).jpg", "IMG_1.jpg(1).json"),
        ("IMG_1(1).jpg", "IMG_1.jpg.supplemental-metadata(1).json"),
        ("IMG_1(1).jpg", "IMG_1(1).jpg.json"),
        ("IMG_1-edited.jpg", "IMG_1.jpg.json"),
        ("IMG_1-edited(2).jpg", "IMG_1.jpg(2).json"),
        ("IMG_1(2)-edited.jpg", "IMG_1.jpg(2).json"),
        ("IMG_1-bearbeitet.jpg", "IMG_1.HEIC.json"),
        ("IMG_1.MP4", "IMG_1.HEIC.supplemental-metadata.json"),
        ("scan.jpg", "scan.json"),
        ("PXL_20240131_123456789.PORTRAIT-01.COVER.jpg", "PXL_20240131_123456789.PORTRAIT-01.COVER.jpg.s.json"),
        ("0123456789012345678901234567890123456789012-edi.jpg", "0123456789012345678901234567890123456789012.jp.json"),
        ("01234567890123456789012345678901234567890123456.jpg", "0123456789012345678901234567890123456789012345.json"),
    ],
)
def test_names_that_are_known(photo: str, sidecar: str) -> None:
    assert sidecar in names_of(photo)


@pytest.mark.parametrize(
    ("photo", "sidecar"),
    [
        ("IMG_10.jpg", "IMG_1.jpg.json"),
        ("IMG_1.jpg", "IMG_10.jpg.json"),
        ("IMG_1.jpg", "IMG_1.jpg(1).json"),
        ("IMG_1(1).jpg", "IMG_1.jpg.json"),
        ("IMG_1-2.jpg", "IMG_1.jpg.json"),
        ("IMG_1.jpg", "IMG_1.MP4.json"),
        ("IMG_1.jpg", "metadata.json"),
    ],
)
def test_names_of_others(photo: str, sidecar: str) -> None:
    assert sidecar not in names_of(photo)
