"""From text to terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.search.analyser import LONGEST_TERM, Analyser, Word, fold, joined, nearest, runs

ENGLISH = Analyser("english")


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_what_is_asked_for_is_among_the_terms_of_the_same_text(text: str) -> None:
    terms = ENGLISH.terms(text)
    for word in ENGLISH.words(text):
        assert {word.term, word.stem, *word.parts} <= terms
        assert 0 < len(word.term) <= LONGEST_TERM


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Zürich", "zurich"),
        ("ŁÓDŹ", "lodz"),
        ("Straße", "strasse"),
        ("Smørrebrød", "smorrebrod"),
        ("İstanbul", "istanbul"),
        ("\uff57\uff49\uff44\uff45", "wide"),
        ("が", "が"),
        ("서울", "서울"),
        ("हिन्दी", "हिन्दी"),
    ],
)
def test_folds(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("IMG_20240512-1530.jpg", ["img", "20240512", "1530", "jpg"]),
        ("Pixel 8a", ["pixel", "8a"]),
        ("golden_retriever", ["golden", "retriever"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("tokyo東京tower", ["tokyo", "東京", "tower"]),
        ("!?", []),
    ],
)
def test_cuts_into_words(text: str, words: list[str]) -> None:
    assert runs(text) == words


def test_stems_and_keeps_the_word_itself() -> None:
    assert ENGLISH.terms("Beaches") == {"beaches", "beach"}
    assert ENGLISH.words("beaches") == (Word("beaches", "beach"),)


def test_the_language_is_a_choice() -> None:
    assert "hund" in Analyser("german").terms("Hunde")


def test_letters_and_digits_are_found_together_and_apart() -> None:
    assert ENGLISH.terms("IMG1234") == {"img1234", "img", "1234"}
    assert ENGLISH.words("img1234") == (Word("img1234", "img1234", ("img", "1234")),)


def test_scripts_without_spaces_are_found_by_pairs_and_single_characters() -> None:
    assert ENGLISH.terms("東京塔") == {"東京", "京塔", "東", "京", "塔"}
    assert ENGLISH.words("東京塔") == (Word("東京", "東京"), Word("京塔", "京塔"))
    assert ENGLISH.words("塔") == (Word("塔", "塔"),)


def test_a_name_as_one_term() -> None:
    assert joined("IMG 1.JPG") == joined("img_1.jpg") == "img_1_jpg"


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("beahc", {"beach"}),  # swapped
        ("bech", {"beach"}),  # left out
        ("baech", {"beach"}),
        ("dgo", set()),  # too short to guess
        ("retreivar", {"retriever"}),
        ("mountain", {"mountain"}),
    ],
)
def test_forgives_typos_by_length(word: str, found: set[str]) -> None:
    assert nearest(word, ["beach", "dog", "retriever", "mountain", "fountain"]) == found
