"""Cursors come back as they were written, or are refused."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.ports.search_index import Place
from gallery.search.cursors import Cursor, read, write
from gallery.search.errors import BadCursorError

LIBRARY = UUID(int=1)


@given(st.datetimes(), st.uuids(), st.datetimes(timezones=st.just(UTC)), st.integers(0), st.text())
def test_comes_back_as_it_was_written(taken: datetime, photo: UUID, mark: datetime, total: int, query: str) -> None:
    cursor = Cursor(Place(taken, photo), mark, total)
    assert read(write(cursor, library_id=LIBRARY, query=query), library_id=LIBRARY, query=query) == cursor


@given(
    st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()) | st.just("W10") | st.just("MQ")
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadCursorError):
        read(text, library_id=LIBRARY, query="")


def test_one_of_another_query_or_library_is_refused() -> None:
    place = Place(datetime(2024, 1, 1), UUID(int=2))  # noqa: DTZ001 - the camera's clock has no zone
    text = write(Cursor(place, datetime(2024, 1, 1, tzinfo=UTC), 3), library_id=LIBRARY, query="a")
    with pytest.raises(BadCursorError, match="another query"):
        read(text, library_id=LIBRARY, query="b")
    with pytest.raises(BadCursorError, match="another query"):
        read(text, library_id=UUID(int=7), query="a")
