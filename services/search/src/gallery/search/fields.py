"""One condition of a query: the field's name, and how its value is read."""

import calendar
import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date

from gallery.search.errors import QueryError
from gallery.search.query import Days, Faces, In, Kind, Leaf, Named, Near, Person, Tag, Taken, Text, Type, Uploaded
from gallery.search.tokens import Token

_LATER = frozenset({"text", "album", "moment", "rating", "is", "only"})
"""Fields of the language whose data this gallery does not have yet."""

_MOST_FACES = 10_000
"""No photo has more, and the number stays within what an engine can count."""

_FURTHEST = 20_040.0
"""Kilometres: half way round the earth."""


def read_leaf(token: Token) -> Leaf:
    """Read a word or ``field:value``.

    Raises:
        QueryError: The field is not known, or its value is not what it expects.
    """
    if token.tail and token.field != "tag":
        raise QueryError(token.tail_position, "a space after the closing quote")
    if not token.field:
        return Text(_words(token))
    if token.field in _LATER:
        raise QueryError(token.position, f"another field, as {token.field}: is not available yet")
    reader = _READERS.get(token.field)
    if reader is None:
        known = ", ".join(f"{name}:" for name in _READERS)
        raise QueryError(token.position, f"one of {known} or the text in quotes")
    return reader(token)


def _words(token: Token) -> str:
    if not token.text.strip():
        raise QueryError(token.value_position, f"a value after {token.field}:" if token.field else "a word")
    return token.text


def _person(token: Token) -> Leaf:
    return Person(_words(token))


def _tag(token: Token) -> Leaf:
    text, sign, score = (token.text, token.tail[:1], token.tail[1:]) if token.quoted else token.text.partition(">")
    at = token.tail_position if token.quoted else token.value_position + len(text)
    if not text.strip():
        raise QueryError(token.value_position, "a value after tag:")
    if not sign:
        return Tag(text)
    if sign != ">" or not re.fullmatch(r"[0-9]*\.?[0-9]+(e-?[0-9]+)?", score) or not 0 <= float(score) <= 1:
        raise QueryError(at, "> and a score from 0 to 1, such as tag:dog>0.6")
    return Tag(text, float(score))


def _in(token: Token) -> Leaf:
    return In(Named(token.field), _words(token))


def _type(token: Token) -> Leaf:
    try:
        return Type(Kind(token.text.lower()))
    except ValueError:
        raise QueryError(token.value_position, "photo or video") from None


def _taken(token: Token) -> Leaf:
    return Taken(_days(token))


def _uploaded(token: Token) -> Leaf:
    return Uploaded(_days(token))


def _days(token: Token) -> Days:
    left, dots, right = token.text.partition("..")
    first = _span(left)
    last = _span(right) if dots else first
    wrong = (left and not first) or (right and not last) or not (first or last)
    if wrong:
        raise QueryError(token.value_position, "a year, month or day such as 2024, 2024-05, 2024-05-09, or two with ..")
    if first and last and first[0] > last[1]:
        raise QueryError(token.value_position, "a first day that is not after the last")
    return Days(first[0] if first else None, last[1] if last else None)


def _span(text: str) -> tuple[date, date] | None:
    """The first and the last day of a year, month or day."""
    found = re.fullmatch(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?", text)
    if found is None:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    with suppress(ValueError):  # a 13th month, a 31st of June, a year 0
        first = date(year or 0, month or 1, day or 1)
        last_month = month or 12
        return first, date(first.year, last_month, day or calendar.monthrange(first.year, last_month)[1])
    return None


def _faces(token: Token) -> Leaf:
    found = re.fullmatch(r"(>=|<=|>|<|)([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", token.text)
    expected = QueryError(token.value_position, "a number of faces such as 2, >2, <=3 or 1..4")
    if found is None or (found[1] and found[3]):
        raise expected
    number = min(int(found[2]), _MOST_FACES)
    least, most = {
        ">": (number + 1, None),
        ">=": (number, None),
        "<": (0, number - 1),
        "<=": (0, number),
        "": (number, min(int(found[3]), _MOST_FACES) if found[3] else number),
    }[found[1]]
    if most is not None and most < least:
        raise expected
    return Faces(least, most)


def _near(token: Token) -> Leaf:
    number = r"(-?[0-9]{1,9}(?:\.[0-9]+)?(?:e-?[0-9]{1,3})?)"
    found = re.fullmatch(rf"{number},{number},{number}(km|m)?", token.text)
    if found:
        latitude, longitude, distance = (float(found[group]) for group in (1, 2, 3))
        kilometres = distance / 1000 if found[4] == "m" else distance
        fits = abs(latitude) <= 90 and abs(longitude) <= 180 and math.isfinite(kilometres)  # noqa: PLR2004
        if fits and 0 < kilometres <= _FURTHEST:
            return Near(latitude, longitude, kilometres)
    raise QueryError(token.value_position, "latitude, longitude and distance such as 38.7,-9.1,5km")


_READERS: dict[str, Callable[[Token], Leaf]] = {
    "person": _person,
    "tag": _tag,
    "file": _in,
    "camera": _in,
    "place": _in,
    "type": _type,
    "date": _taken,
    "uploaded": _uploaded,
    "faces": _faces,
    "near": _near,
}
