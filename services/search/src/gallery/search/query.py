"""What somebody asked for, as a tree, and how to write it down again so that reading it gives the same tree."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Kind(StrEnum):
    """What sort of file a photo is."""

    PHOTO = "photo"
    VIDEO = "video"


class Named(StrEnum):
    """Fields whose value is looked for as words."""

    FILE = "file"
    CAMERA = "camera"
    PLACE = "place"


@dataclass(frozen=True, slots=True)
class Everything:
    """An empty query."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words to look for everywhere; several when they were quoted."""

    text: str


@dataclass(frozen=True, slots=True)
class Person:
    """A person by name, or by id."""

    name: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, with a score greater than ``above`` if that is given."""

    text: str
    above: float | None = None


@dataclass(frozen=True, slots=True)
class In:
    """Words to look for in one field."""

    field: Named
    text: str


@dataclass(frozen=True, slots=True)
class Type:
    """Photos or videos."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Days:
    """From the first day to the last, both included; None leaves that side open, never both."""

    first: date | None
    last: date | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The day of the photo, as its camera's clock had it."""

    days: Days


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The day it came in, UTC."""

    days: Days


@dataclass(frozen=True, slots=True)
class Faces:
    """From ``least`` to ``most`` faces; None means no upper limit."""

    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Near:
    """Not further than this from a place in degrees."""

    latitude: float
    longitude: float
    kilometres: float


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    part: "Query"


@dataclass(frozen=True, slots=True)
class And:
    """At least two parts, none of them an And."""

    parts: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least two parts, none of them an Or."""

    parts: tuple["Query", ...]


Leaf = Text | Person | Tag | In | Type | Taken | Uploaded | Faces | Near
Query = Everything | Leaf | Not | And | Or


def both(parts: list[Query]) -> Query:
    """All of these; one alone is itself, and an And among them gives its parts."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,)))
    return flat[0] if len(flat) == 1 else And(flat)


def either(parts: list[Query]) -> Query:
    """Any of these; one alone is itself, and an Or among them gives its parts."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,)))
    return flat[0] if len(flat) == 1 else Or(flat)


def leaves(query: Query) -> list[Leaf]:
    """The conditions at the tips of the tree."""
    match query:
        case Everything():
            return []
        case Not(part):
            return leaves(part)
        case And(parts) | Or(parts):
            return [leaf for part in parts for leaf in leaves(part)]
        case _:
            return [query]


def render(query: Query) -> str:
    """Write a query down; parsing the result gives the same tree."""
    match query:
        case Everything():
            return ""
        case Not(part):
            return f"-({render(part)})" if isinstance(part, And | Or) else f"-{render(part)}"
        case And(parts):
            return " ".join(f"({render(part)})" if isinstance(part, Or) else render(part) for part in parts)
        case Or(parts):
            return " OR ".join(render(part) for part in parts)
        case _:
            return _render_leaf(query)


def _render_leaf(leaf: Leaf) -> str:  # noqa: PLR0911 - one answer per kind of leaf
    match leaf:
        case Text(text):
            return _quoted(text)
        case Person(name):
            return f"person:{_quoted(name)}"
        case Tag(text, above):
            return f"tag:{_quoted(text)}" + ("" if above is None else f">{above!r}")
        case In(field, text):
            return f"{field}:{_quoted(text)}"
        case Type(kind):
            return f"type:{kind}"
        case Taken(days):
            return f"date:{_render_days(days)}"
        case Uploaded(days):
            return f"uploaded:{_render_days(days)}"
        case Faces(least, most):
            return f"faces:>={least}" if most is None else f"faces:{least}..{most}"
        case Near():
            return f"near:{leaf.latitude!r},{leaf.longitude!r},{leaf.kilometres!r}km"


def _quoted(text: str) -> str:
    if re.fullmatch(r"\w+", text) and text not in {"OR", "AND"}:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _render_days(days: Days) -> str:
    first = days.first.isoformat() if days.first else ""
    last = days.last.isoformat() if days.last else ""
    return f"{first}..{last}"
