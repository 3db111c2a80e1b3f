"""The search language: what is read, what is refused and where, and that writing down and reading agree."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.search import query as q
from gallery.search.errors import QueryError
from gallery.search.fields import _READERS
from gallery.search.parser import parse


def _days() -> st.SearchStrategy[q.Days]:
    day = st.dates()
    both = st.tuples(day, day).map(lambda pair: q.Days(min(pair), max(pair)))
    return both | day.map(lambda first: q.Days(first, None)) | day.map(lambda last: q.Days(None, last))


_text = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
_leaf: st.SearchStrategy[q.Query] = st.one_of(
    st.builds(q.Text, _text),
    st.builds(q.Person, _text),
    st.builds(q.Tag, _text, st.none() | st.floats(0, 1).map(abs)),
    st.builds(q.In, st.sampled_from(q.Named), _text),
    st.builds(q.Type, st.sampled_from(q.Kind)),
    st.builds(q.Taken, _days()),
    st.builds(q.Uploaded, _days()),
    st.tuples(st.integers(0, 9), st.none() | st.integers(0, 9)).map(
        lambda pair: q.Faces(pair[0], None if pair[1] is None else pair[0] + pair[1])
    ),
    st.builds(q.Near, st.floats(-90, 90), st.floats(-180, 180), st.floats(1e-9, 20_000)),
)
_tree = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        inner.map(q.Not),
        st.lists(inner, min_size=2, max_size=4).map(q.both),
        st.lists(inner, min_size=2, max_size=4).map(q.either),
    ),
    max_leaves=12,
)


@given(_tree)
def test_reading_what_was_written_gives_the_same_tree(query: q.Query) -> None:
    assert parse(q.render(query)) == query


@given(st.text() | st.text(alphabet='ab-() ":>.,<=0159ORAND\\tagperson'))
def test_any_text_is_a_query_or_a_query_error_with_a_position_in_it(text: str) -> None:
    try:
        query = parse(text)
    except QueryError as mistake:
        assert 0 <= mistake.position <= len(text)  # noqa: PT017 - any of the two is fine
    else:
        assert parse(q.render(query)) == query


@given(st.sampled_from(sorted(_READERS)), st.text(alphabet='ab()":>.,<=0159-km e', max_size=20))
def test_any_value_of_a_field_is_read_or_refused(field: str, value: str) -> None:
    try:
        parse(f"{field}:{value}")
    except QueryError as mistake:
        assert mistake.expected  # noqa: PT017 - any of the two is fine


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", q.Everything()),
        ("  ", q.Everything()),
        ("beach", q.Text("beach")),
        ("IMG-1", q.Text("IMG-1")),
        ('"Anna Berg"', q.Text("Anna Berg")),
        ('"say \\"hi\\""', q.Text('say "hi"')),
        ("person:anna", q.Person("anna")),
        ('Person:"Anna Berg"', q.Person("Anna Berg")),
        ("tag:dog", q.Tag("dog")),
        ("tag:dog>0.6", q.Tag("dog", 0.6)),
        ('tag:"golden retriever">0.6', q.Tag("golden retriever", 0.6)),
        ("file:IMG_1", q.In(q.Named.FILE, "IMG_1")),
        ("type:video", q.Type(q.Kind.VIDEO)),
        ("date:2024", q.Taken(q.Days(date(2024, 1, 1), date(2024, 12, 31)))),
        ("date:2024-02", q.Taken(q.Days(date(2024, 2, 1), date(2024, 2, 29)))),
        ("date:2024-05-01..2024-05-09", q.Taken(q.Days(date(2024, 5, 1), date(2024, 5, 9)))),
        ("date:2023..2024-05", q.Taken(q.Days(date(2023, 1, 1), date(2024, 5, 31)))),
        ("date:2024..", q.Taken(q.Days(date(2024, 1, 1), None))),
        ("uploaded:2026", q.Uploaded(q.Days(date(2026, 1, 1), date(2026, 12, 31)))),
        ("faces:0", q.Faces(0, 0)),
        ("faces:>2", q.Faces(3, None)),
        ("faces:<3", q.Faces(0, 2)),
        ("faces:>=2", q.Faces(2, None)),
        ("faces:<=2", q.Faces(0, 2)),
        ("faces:1..4", q.Faces(1, 4)),
        ("near:38.7,-9.1,5km", q.Near(38.7, -9.1, 5.0)),
        ("near:38.7,-9.1,500m", q.Near(38.7, -9.1, 0.5)),
        ("a b OR c", q.Or((q.And((q.Text("a"), q.Text("b"))), q.Text("c")))),
        ("a (b OR c)", q.And((q.Text("a"), q.Or((q.Text("b"), q.Text("c")))))),
        ("a AND -b", q.And((q.Text("a"), q.Not(q.Text("b"))))),
        ("-(a b)", q.Not(q.And((q.Text("a"), q.Text("b"))))),
    ],
)
def test_reads(text: str, query: q.Query) -> None:
    assert parse(text) == query


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("a (b", 4, "a ) for the bracket opened at 2"),
        ("a) b", 1, "no )"),
        ("a OR", 4, "a word"),
        ("OR a", 0, "a word"),
        ("()", 1, "a word"),
        ("a -", 3, "a word"),
        ('say "hi', 4, "a closing"),
        ('""', 0, "a word"),
        ("person:", 7, "a value after person:"),
        ("person: anna", 7, "a value after person:"),
        ("tag:>0.5", 4, "a value after tag:"),
        ("tag:dog>x", 7, "> and a score"),
        ("tag:dog>2", 7, "> and a score"),
        ('tag:"big \\"dog\\"">2', 17, "> and a score"),
        ('"a"b', 3, "a space"),
        ("a colour:red", 2, "one of person:, tag:"),
        ("date:2024-13", 5, "a year, month or day"),
        ("date:2024-02-30", 5, "a year, month or day"),
        ("date:..", 5, "a year, month or day"),
        ("date:2025..2024", 5, "a first day"),
        ("faces:many", 6, "a number of faces"),
        ("faces:<0", 6, "a number of faces"),
        ("faces:4..1", 6, "a number of faces"),
        ("near:91,0,5km", 5, "latitude, longitude"),
        ("near:38.7,-9.1", 5, "latitude, longitude"),
        ("type:audio", 5, "photo or video"),
        ("a only:(anna ben)", 2, "another field, as only: is not available yet"),
        ("text:menu", 0, "another field, as text: is not available yet"),
        ("is:blurry", 0, "another field, as is: is not available yet"),
        ("x" * 1001, 1000, "at most 1000 characters"),
        ("a " * 101, 200, "at most 100 words"),
        ("(" * 60, 10, "at most 10 brackets"),
        ("-" * 60 + "a", 10, "at most 10 brackets"),
    ],
)
def test_says_where_the_mistake_is_and_what_was_expected(text: str, position: int, expected: str) -> None:
    with pytest.raises(QueryError) as mistake:
        parse(text)
    assert mistake.value.position == position
    assert mistake.value.expected.startswith(expected)
