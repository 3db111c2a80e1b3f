"""A query's text, cut into tokens that know where they stood."""

from dataclasses import dataclass
from enum import Enum, auto

from gallery.search.errors import QueryError

LONGEST_QUERY = 1000
"""Characters; people do not type more, and work on one query stays bounded."""


class Mark(Enum):
    """Kinds of tokens."""

    OPEN = auto()
    CLOSE = auto()
    MINUS = auto()
    OR = auto()
    AND = auto()
    TERM = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        mark: Its kind.
        position: Of its first character, from 0.
        field: For ``field:value``, the field in lower case; else empty.
        text: The word or value, its quotes and escapes taken off.
        quoted: It stood in quotes.
        tail: What followed the closing quote without a space, such as ``>0.6``.
        value_position: Of the first character of the word or value.
        tail_position: Of the first character of the tail.
    """

    mark: Mark
    position: int
    field: str = ""
    text: str = ""
    quoted: bool = False
    tail: str = ""
    value_position: int = 0
    tail_position: int = 0


_SINGLE = {"(": Mark.OPEN, ")": Mark.CLOSE, "-": Mark.MINUS}
_WORDS = {"OR": Mark.OR, "AND": Mark.AND}


def tokenize(text: str) -> list[Token]:
    """Cut a query into tokens, the last of which is END.

    Raises:
        QueryError: A quote is not closed, or the text is too long.
    """
    if len(text) > LONGEST_QUERY:
        raise QueryError(LONGEST_QUERY, f"at most {LONGEST_QUERY} characters")
    tokens: list[Token] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
        elif text[place] in _SINGLE:
            tokens.append(Token(_SINGLE[text[place]], place))
            place += 1
        else:
            token, place = _term(text, place)
            tokens.append(token)
    tokens.append(Token(Mark.END, len(text)))
    return tokens


def _term(text: str, start: int) -> tuple[Token, int]:
    field, place = _field(text, start)
    if text[place : place + 1] == '"':
        value, behind = _quoted(text, place)
        tail, end = _bare(text, behind)
        return Token(Mark.TERM, start, field, value, True, tail, place, behind), end
    value, end = _bare(text, place)
    if not field and value in _WORDS:
        return Token(_WORDS[value], start), end
    return Token(Mark.TERM, start, field, value, value_position=place, tail_position=end), end


def _field(text: str, start: int) -> tuple[str, int]:
    end = start
    while end < len(text) and text[end].isascii() and text[end].isalpha():
        end += 1
    if end > start and text[end : end + 1] == ":":
        return text[start:end].lower(), end + 1
    return "", start


def _bare(text: str, start: int) -> tuple[str, int]:
    end = start
    while end < len(text) and not text[end].isspace() and text[end] not in '()"':
        end += 1
    return text[start:end], end


def _quoted(text: str, start: int) -> tuple[str, int]:
    letters: list[str] = []
    place = start + 1
    while place < len(text):
        if text[place] == '"':
            return "".join(letters), place + 1
        if text[place] == "\\" and text[place + 1 : place + 2] in {"\\", '"'}:
            place += 1
        letters.append(text[place])
        place += 1
    raise QueryError(start, 'a closing " for this quote')
