import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gallery.upload.names import LONGEST, NAMELESS, safe_path


@pytest.mark.parametrize(
    ("given_path", "kept"),
    [
        ("IMG_1.jpg", "IMG_1.jpg"),
        ("Summer/IMG 1.jpg", "Summer/IMG 1.jpg"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\Users\\anna\\..\\a.jpg", "Users/anna/a.jpg"),
        ("a//./b.jpg", "a/b.jpg"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("tab\there\x00.jpg", "tabhere.jpg"),
        ("", NAMELESS),
        ("..", NAMELESS),
        ("\ud800.jpg", ".jpg"),
    ],
)
def test_names_become_plain_relative_paths(given_path: str, kept: str) -> None:
    assert safe_path(given_path) == kept


def test_a_long_name_keeps_its_ending() -> None:
    shortened = safe_path("ä" * 2000 + ".jpeg")
    assert shortened.endswith("ä.jpeg")
    assert len(shortened.encode()) <= LONGEST


def test_a_long_path_loses_its_outermost_folders_first() -> None:
    assert safe_path("/".join(["folder" * 20] * 20) + "/IMG_1.jpg").endswith("/IMG_1.jpg")


@given(st.text(st.characters(codec=None), max_size=3000))
@example(". \u200b./x")
@example(" . ./ .. /x")
@example("A:/a")
@example("A:/B:/a")
def test_whatever_is_given_the_result_is_safe_and_final(text: str) -> None:
    path = safe_path(text)
    assert 1 <= len(path.encode()) <= LONGEST
    assert not path.startswith("/")
    assert all(segment not in {"", ".", ".."} for segment in path.split("/"))
    assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs"} for character in path)
    assert safe_path(path) == path
