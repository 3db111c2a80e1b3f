"""Reads the search language: side by side is AND and binds tighter than OR; a minus binds tightest."""

from gallery.search.errors import QueryError
from gallery.search.fields import read_leaf
from gallery.search.query import Everything, Not, Query, both, either
from gallery.search.tokens import Mark, Token, tokenize

DEEPEST = 10
"""Brackets and minus signs within one another. Each is at most two levels of a condition, and indexes have a limit."""

MOST_TERMS = 100
"""Conditions in one query."""


def parse(text: str) -> Query:
    """Read a query; an empty one means everything.

    Raises:
        QueryError: With the position of the mistake and what was expected there; nothing else is raised for any text.
    """
    tokens = tokenize(text)
    terms = [token for token in tokens if token.mark is Mark.TERM]
    if len(terms) > MOST_TERMS:
        raise QueryError(terms[MOST_TERMS].position, f"at most {MOST_TERMS} words and conditions")
    if len(tokens) == 1:
        return Everything()
    return _Parser(tokens).whole()


class _Parser:
    """Recursive descent; each method reads one rule of the grammar and leaves the place behind it."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def whole(self) -> Query:
        query = self._alternatives()
        if self._next.mark is not Mark.END:
            raise QueryError(self._next.position, "no ), as no bracket is open here")
        return query

    def _alternatives(self) -> Query:
        parts = [self._sequence()]
        while self._next.mark is Mark.OR:
            self._place += 1
            parts.append(self._sequence())
        return either(parts)

    def _sequence(self) -> Query:
        parts = [self._factor()]
        while self._next.mark not in {Mark.OR, Mark.CLOSE, Mark.END}:
            if self._next.mark is Mark.AND:
                self._place += 1
            parts.append(self._factor())
        return both(parts)

    def _factor(self) -> Query:
        token = self._next
        self._place += 1
        match token.mark:
            case Mark.TERM:
                return read_leaf(token)
            case Mark.MINUS | Mark.OPEN:
                return self._nested(token)
            case _:
                raise QueryError(token.position, "a word, a field such as person:, or an opening bracket")

    def _nested(self, token: Token) -> Query:
        if self._depth == DEEPEST:
            raise QueryError(token.position, f"at most {DEEPEST} brackets within one another")
        self._depth += 1
        query = Not(self._factor()) if token.mark is Mark.MINUS else self._bracket(token)
        self._depth -= 1
        return query

    def _bracket(self, opening: Token) -> Query:
        query = self._alternatives()
        if self._next.mark is not Mark.CLOSE:
            raise QueryError(self._next.position, f"a ) for the bracket opened at {opening.position}")
        self._place += 1
        return query

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]
