"""What the sidecars of a Google Takeout say of photos: times, positions, names of people, albums.

A photo and its sidecar may lie in different archives of one export. What is malformed says nothing; it never stops a
photo.
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from gallery.cli.faults import FAULTS
from gallery.cli.takeout_names import Candidate, candidates

LARGEST = 1 << 18
"""Bytes of a sidecar; the longest that are known have some thousand."""
LONGEST_FIELD = 8000
"""Bytes in UTF-8, a little below what the upload takes."""
LONGEST_TEXT = 2000
LONGEST_NAME = 200
MOST_NAMES = 200
ROOT = "Takeout"
"""The outermost folder of every export, in every language."""

_ALBUM = re.compile(r"m[eé]tad[^.]*\.json", re.IGNORECASE)
"""``metadata.json``, ``Metadaten.json``, ``métadonnées.json``, ``metadatos.json`` …"""
_PART = re.compile(r"([-_ ]*\(?\d+\)?)+$")
_REPLACED = re.compile(r"[&<>:\"/\\|?*'%]")
"""What a title may have and the file's name has not: ``_`` stands there."""

Opener = Callable[[], IO[bytes]]
Said = dict[str, Any]


class Sidecars:
    """The JSON files of one import, by the folder in which they lie."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], dict[str, Opener]] = {}

    def add(self, root: str, file: str, opened: Opener) -> None:
        """Take note of a file, named as for ``said_of``; whether it is a sidecar shows when it is read."""
        places, name = _places(root, file)
        for place in places:
            self._files.setdefault(place, {}).setdefault(name, opened)

    def said_of(self, root: str, file: str) -> Said | None:
        """Read what is said of a photo; None where nothing is.

        Args:
            root: The path that was imported, so that the files of two are kept apart.
            file: Path of the photo below it, archives in between.
        """
        places, name = _places(root, file)
        folders = [self._files[place] for place in places if place in self._files]
        said = _first_that_fits(folders, name) if folders else None
        album = next((title for folder in folders if (title := _album(folder))), None)
        if album is None:
            return said
        return {"source": "takeout", **(said or {}), "albums": [album]}


def merged(several: Sequence[Said | None]) -> Said | None:
    """Join what is said of copies of one photo, such as one for each album it is in."""
    joined: Said = {}
    for said in several:
        for name, value in (said or {}).items():
            known = joined.setdefault(name, value)
            if isinstance(known, list):
                joined[name] = list(dict.fromkeys([*known, *value]))
    return joined or None


def as_field(said: Said) -> str:
    """Give it as the JSON of the upload's form, with less of what makes it too long."""
    said = {name: value[:MOST_NAMES] if isinstance(value, list) else value for name, value in said.items()}
    while len((text := json.dumps(said, ensure_ascii=False)).encode()) > LONGEST_FIELD:
        longest = max(("description", "people", "albums"), key=lambda name: len(str(said.get(name, ""))))
        said[longest] = said[longest][: len(said[longest]) * 3 // 4]
    return text


def _places(root: str, file: str) -> tuple[list[tuple[str, str]], str]:
    """The folder of a file, in its archive and in the whole export, and its name."""
    *folders, name = unicodedata.normalize("NFC", file).split("/")
    inner = next(
        (at for at, part in enumerate(folders) if part == ROOT),
        max((at + 1 for at, part in enumerate(folders) if part.lower().endswith(".zip")), default=0),
    )
    container = "/".join([root, *folders[:inner]])
    export = _PART.sub("", container.removesuffix(".zip"))
    folder = "/".join(folders[inner:])
    return [(f"part {container}", folder), (f"export {export}", folder)], name


def _first_that_fits(folders: Sequence[Mapping[str, Opener]], photo: str) -> Said | None:
    for candidate in candidates(photo):
        for folder in folders:
            if candidate.name in folder and (said := _said(_read(folder[candidate.name]), candidate)):
                return said
    return None


def _album(folder: Mapping[str, Opener]) -> str | None:
    for name, opened in folder.items():
        if _ALBUM.fullmatch(name) and (title := _text(_read(opened).get("title"), LONGEST_NAME)):
            return title
    return None


def _read(opened: Opener) -> dict[str, Any]:
    """A JSON object; an empty one where the file is none, or too large."""
    try:
        with opened() as file:
            content = file.read(LARGEST + 1)
        found = json.loads(content) if len(content) <= LARGEST else None
    except (*FAULTS, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _said(document: Mapping[str, Any], candidate: Candidate) -> Said | None:
    """What a sidecar says; None when it is none, or another photo's by its title."""
    title = _text(document.get("title"), LONGEST_NAME)
    if candidate.stem and not _REPLACED.sub("_", title).startswith(candidate.stem):
        return None
    people = document.get("people")
    names = [_text(_member(person, "name"), LONGEST_NAME) for person in people] if isinstance(people, list) else []
    said = {
        "title": title,
        "description": _text(document.get("description"), LONGEST_TEXT),
        "taken_at": _instant(_member(document.get("photoTakenTime"), "timestamp")),
        "gps": _position(document, "geoData") or _position(document, "geoDataExif"),
        "people": list(dict.fromkeys(name for name in names if name)),
        "favourite": document.get("favorited") is True,
        "archived": document.get("archived") is True,
    }
    known = {name: value for name, value in said.items() if value}
    return {"source": "takeout", **known} if known else None


def _instant(value: Any) -> str | None:
    """Seconds since 1970, as text, negative before; that it is UTC is what ``formatted`` beside it says."""
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(value))).isoformat()
    except (TypeError, ValueError, OverflowError):
        return None


def _position(document: Mapping[str, Any], source: str) -> dict[str, Any] | None:
    """One of the two positions; 0, 0 stands for none."""
    latitude, longitude, altitude = (
        _number(_member(document.get(source), name)) for name in ("latitude", "longitude", "altitude")
    )
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    if abs(latitude) > 90 or abs(longitude) > 180:  # noqa: PLR2004 - degrees
        return None
    height = {} if altitude is None else {"altitude": altitude}
    return {"latitude": latitude, "longitude": longitude, **height, "source": source}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: Any, longest: int) -> str:
    """A text that can be sent and kept; empty for anything else."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode(errors="ignore").decode()[:longest].strip()
