"""Reads PromQL as far as a check of names needs it: tokens, brackets, selectors and groupings.

Source: https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""
    (?P<string> "(?:[^"\\]|\\.)*" )
  | (?P<duration> (?:\d+(?:ms|[smhdwy]))+ | \$__rate_interval )
  | (?P<number> \d+(?:\.\d+)?(?:e[+-]?\d+)? )
  | (?P<word> [a-zA-Z_:][a-zA-Z0-9_:]* )
  | (?P<operator> =~ | !~ | != | == | >= | <= | [-+*/%^<>=,(){}\[\]] )
  | (?P<space> \s+ )
    """,
    re.VERBOSE,
)
AGGREGATIONS = {"sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile", "stddev"}
FUNCTIONS = {"rate", "increase", "histogram_quantile", "min_over_time", "max_over_time", "avg_over_time", "absent"}
FUNCTIONS |= {"predict_linear", "delta", "clamp_min", "time", "vector"}
GROUPINGS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset"}
CLOSES = {"(": ")", "{": "}", "[": "]"}


class PromqlError(ValueError):
    """It is no PromQL."""


@dataclass
class Selector:
    """One series that a query reads.

    Attributes:
        matchers: Label, operator and value.
        function: That it is the argument of, if it is one's.
        ranged: Whether it reads a span of time.
    """

    metric: str
    function: str
    matchers: list[tuple[str, str, str]] = field(default_factory=list)
    ranged: bool = False


@dataclass
class Query:
    """What a query names."""

    selectors: list[Selector]
    groupings: set[str]


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each token.

    Raises:
        PromqlError: Something is none, or brackets do not match.
    """
    open_brackets: list[str] = []
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise PromqlError(f"no token at {text[at:]!r}")
        at = found.end()
        token = found.group()
        if token in CLOSES:
            open_brackets.append(CLOSES[token])
        elif token in CLOSES.values() and (not open_brackets or open_brackets.pop() != token):
            raise PromqlError(f"{token!r} closes nothing at {text[at:]!r}")
        if found.lastgroup != "space":
            yield found.lastgroup, token
    if open_brackets:
        raise PromqlError(f"{open_brackets[-1]!r} is missing")


def read(text: str) -> Query:
    """Read one query.

    Raises:
        PromqlError: A word is nothing that stands where it stands.
    """
    rest = [*tokens(text), ("end", "")]
    query = Query([], set())
    calls: list[str] = []
    called = ""
    at = 0
    while (token := rest[at])[0] != "end":
        kind, word = token
        following = rest[at + 1][1]
        at += 1
        match kind, word:
            case "word", _ if word in GROUPINGS:
                at = _labels(rest, at, query)
            case "word", _ if word in AGGREGATIONS | FUNCTIONS:
                called = _called(word, following)
            case "word", _ if word not in WORDS:
                at = _selector(rest, at, Selector(word, calls[-1] if calls else ""), query)
            case _, "(":
                calls.append(called)
                called = ""
            case _, ")":
                calls.pop()
            case _, "{" | "[":
                raise PromqlError(f"{word!r} belongs to no metric")
    return query


def _called(word: str, following: str) -> str:
    if following != "(" and not (word in AGGREGATIONS and following in GROUPINGS):
        raise PromqlError(f"{word} is called with nothing")
    return word


def _labels(rest: list[tuple[str, str]], at: int, query: Query) -> int:
    if rest[at][1] != "(":
        raise PromqlError("a grouping names its labels in brackets")
    while rest[at][1] != ")":
        kind, word = rest[at]
        if kind == "word":
            query.groupings.add(word)
        at += 1
    return at + 1


def _selector(rest: list[tuple[str, str]], at: int, selector: Selector, query: Query) -> int:
    if rest[at][1] == "(":
        raise PromqlError(f"there is no function {selector.metric}")
    if rest[at][1] == "{":
        at += 1
        while rest[at][1] != "}":
            (kind, label), (_, operator), (value_kind, value) = rest[at : at + 3]
            if kind != "word" or operator not in {"=", "!=", "=~", "!~"} or value_kind != "string":
                raise PromqlError(f"no matcher: {label}{operator}{value}")
            selector.matchers.append((label, operator, value[1:-1]))
            at += 3
            if rest[at][1] == ",":
                at += 1
        at += 1
    if rest[at][1] == "[":
        if (rest[at + 1][0], rest[at + 2][1]) != ("duration", "]"):
            raise PromqlError("a range is a duration")
        selector.ranged = True
        at += 3
    query.selectors.append(selector)
    return at
