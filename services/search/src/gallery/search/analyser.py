"""From text to terms: the one place that has an opinion on language. Engines match what comes out verbatim."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import snowballstemmer
from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

LONGEST_TERM = 64
"""Characters of a term; an engine's index refuses very long ones (PostgreSQL's GIN: about 2,700 bytes)."""

_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"},  # noqa: RUF001
)
"""Letters that Unicode does not take apart into a letter and its accent."""

# Marks that are accents or optional vowel points. Those of Indic scripts are letters and stay.
_ACCENTS = (
    range(0x0300, 0x0370),  # Latin, Greek, Cyrillic
    range(0x0591, 0x05C8),  # Hebrew points
    range(0x0610, 0x061B),
    range(0x064B, 0x0660),  # Arabic vowels
    range(0x1AB0, 0x1B00),
    range(0x1DC0, 0x1E00),
    range(0x20D0, 0x2100),
)

# Scripts without spaces between words (Han, kana, Hangul), cut into pairs of characters.
_UNSPACED = (
    range(0x3040, 0x3100),
    range(0x31F0, 0x3200),
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0xAC00, 0xD7B0),
    range(0xF900, 0xFB00),
    range(0x20000, 0x32400),
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a query.

    Attributes:
        term: Folded.
        stem: The same as ``term`` where stemming changes nothing.
        parts: Letters and digits apart, for words that mix them (``img1234``); else empty.
    """

    term: str
    stem: str
    parts: tuple[str, ...] = ()


def fold(text: str) -> str:
    """Take away what people leave out when they type: case, accents, width. Twice is the same as once."""
    opened = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(letter for letter in opened if not _within(letter, _ACCENTS))
    return unicodedata.normalize("NFC", bare.translate(_LETTERS))


def runs(text: str) -> list[str]:
    """Cut into folded words: letters and digits that stand together. Underscores, dots and dashes part words."""
    return [
        "".join(letters)[:LONGEST_TERM]
        for kind, letters in groupby(fold(text), key=_kind)
        if kind in {"word", "unspaced"}
    ]


class Analyser:
    """Terms of one language.

    Args:
        language: A name of snowball's, such as ``english``.
    """

    def __init__(self, language: str) -> None:
        self._stemmer = snowballstemmer.stemmer(language)

    def terms(self, text: str) -> frozenset[str]:
        """Everything by which this text shall be found: words, their stems, parts, and pairs of unspaced scripts."""
        found: set[str] = set()
        for run in runs(text):
            if _is_unspaced(run):
                found.update(run, _pairs(run))
            else:
                found.update({run, self._stem(run)}, _parts(run))
        return frozenset(found)

    def words(self, text: str) -> tuple[Word, ...]:
        """What has to be there for this text to be found."""
        words: list[Word] = []
        for run in runs(text):
            if _is_unspaced(run):
                words.extend(Word(pair, pair) for pair in _pairs(run))
            else:
                words.append(Word(run, self._stem(run), _parts(run)))
        return tuple(dict.fromkeys(words))

    def _stem(self, word: str) -> str:
        return str(self._stemmer.stemWord(word)) if word.isalpha() else word


def typo_distance(word: str) -> int:
    """Edits to forgive: none below four letters or with a digit, then one, two from eight letters on."""
    if len(word) < 4 or not word.isalpha() or _is_unspaced(word):  # noqa: PLR2004
        return 0
    return 1 if len(word) < 8 else 2  # noqa: PLR2004


def nearest(word: str, dictionary: Iterable[str]) -> frozenset[str]:
    """The words of the dictionary within the forgiven distance, and of these only the nearest.

    Distance: Damerau 1964, an edit being a letter put in, left out, exchanged, or swapped with its neighbour.
    """
    allowed = typo_distance(word)
    candidates = list(dictionary)
    if not allowed or not candidates:
        return frozenset()
    scored = process.extract(word, candidates, scorer=DamerauLevenshtein.distance, score_cutoff=allowed, limit=None)
    best = min((distance for _, distance, _ in scored), default=0)
    return frozenset(candidate for candidate, distance, _ in scored if distance == best)


def _kind(letter: str) -> str:
    if _within(letter, _UNSPACED):
        return "unspaced"
    # Marks belong to the letter before them, in scripts where they are vowels.
    return "word" if unicodedata.category(letter)[0] in "LNM" else "gap"


def _parts(run: str) -> tuple[str, ...]:
    parts = tuple("".join(letters) for _, letters in groupby(run, key=str.isdigit))
    return parts if len(parts) > 1 else ()


def _pairs(run: str) -> tuple[str, ...]:
    return tuple(run[place : place + 2] for place in range(len(run) - 1)) or (run,)


def _is_unspaced(run: str) -> bool:
    return _within(run[0], _UNSPACED)


def _within(letter: str, blocks: Iterable[range]) -> bool:
    return any(ord(letter) in block for block in blocks)


def joined(text: str) -> str:
    """The words of a name as one term, for finding exactly this name: ``IMG_1`` and ``img 1`` are ``img_1``."""
    return "_".join(runs(text))[: 2 * LONGEST_TERM]
