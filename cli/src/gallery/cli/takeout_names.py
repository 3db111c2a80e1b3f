"""Which sidecar of a Google Takeout belongs to which photo, by their names alone.

Google documents none of this; these are the rules that its exports show. A sidecar is named after the photo's title,
``.supplemental-metadata`` behind it since 2024, all of it cut to 46 characters, then the counter that tells equal
titles apart, then ``.json``. The photo has the counter before its ending instead, and is cut to 51 characters. An
edited copy has a word of the account's language behind its stem and no sidecar of its own, nor has the film of a
live photo.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SUFFIX = ".supplemental-metadata"
LONGEST_SIDECAR = 46
"""Characters before ``.json``, which makes 51."""
LONGEST_PHOTO = 51
SHORTEST_WORD = 3
"""Letters: ``IMG_1-2.jpg`` and ``a-b.jpg`` are photos of their own. The word may be cut where the name is."""

STILLS = (".heic", ".HEIC", ".jpg", ".JPG", ".jpeg", ".JPEG", ".png", ".PNG")
"""What a film or an edited copy may have been made of."""

_NAME = re.compile(r"(?P<stem>.+?)(?P<counter>\(\d+\))?(?P<ending>\.[^.]*)?", re.DOTALL)
_EDITED = re.compile(r"(?P<original>.+)-(?P<word>[^\d\s.()_-]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A name that the sidecar of a photo may have.

    Attributes:
        name: Of the file.
        stem: What the title in it has to begin with, where the name alone does not tell; empty where it does.
    """

    name: str
    stem: str = ""


def candidates(photo: str) -> Iterator[Candidate]:
    """Yield the names that the sidecar of this photo may have, the likeliest first; without folders, in form C."""
    yield from _of_title(photo)
    for original in _originals(photo):
        yield from _of_title(original)


def _of_title(photo: str) -> Iterator[Candidate]:
    """The sidecars of one photo: the counter may be part of its title, else it stands behind."""
    stem, counter, ending = _parts(photo)
    if counter:
        yield from _named_after(stem + counter, ending, "")
    yield from _named_after(stem, ending, counter)


def _named_after(stem: str, ending: str, counter: str) -> Iterator[Candidate]:
    title = stem + ending
    full = title + SUFFIX
    yield Candidate(f"{title}{counter}.json")
    yield from (Candidate(f"{full[:length]}{counter}.json") for length in range(len(full), len(title), -1))
    for cut in {LONGEST_SIDECAR, LONGEST_SIDECAR - len(counter)}:
        if cut < len(title):
            yield Candidate(f"{title[:cut]}{counter}.json", stem)
    if ending:  # the title may have had none
        yield Candidate(f"{stem}{counter}.json")
        yield Candidate(f"{stem}{SUFFIX}"[:LONGEST_SIDECAR] + f"{counter}.json", stem)


def _originals(photo: str) -> Iterator[str]:
    """Names of the photos that this one may be made of."""
    stem, counter, ending = _parts(photo)
    edited = _EDITED.fullmatch(stem)
    long = len(stem + ending) >= LONGEST_PHOTO
    if edited and (long or len(edited["word"]) >= SHORTEST_WORD):
        original = edited["original"]
        yield f"{original}{counter}{ending}"
        yield from (f"{original}{counter}{still}" for still in STILLS if still != ending)
    elif ending.lower() in {".mp4", ".mov", ".mp", ".mv"}:
        yield from (f"{stem}{counter}{still}" for still in STILLS)


def _parts(name: str) -> tuple[str, str, str]:
    found = _NAME.fullmatch(name)
    return (found["stem"], found["counter"] or "", found["ending"] or "") if found else (name, "", "")
