"""Identity survives the headers, and headers that are none are refused."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.events.headers import BadHeadersError, Identity, from_headers, to_headers
from gallery.events.topics import TOPIC_OF_TYPE, Topic

identities = st.builds(
    Identity,
    id=st.uuids(),
    type=st.sampled_from(sorted(TOPIC_OF_TYPE)),
    key=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    library_id=st.uuids(),
    revision=st.integers(min_value=1, max_value=2**63 - 1),
    at=st.datetimes(timezones=st.just(UTC)),
    traceparent=st.sampled_from(["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
)


@given(identities)
def test_an_identity_comes_back_as_it_went(identity: Identity) -> None:
    assert from_headers(to_headers(identity, Topic.CATALOGUE)) == identity


@given(identities, st.sampled_from(["ce_id", "ce_type", "ce_subject", "ce_time", "ce_libraryid", "ce_revision"]))
def test_a_missing_header_is_named(identity: Identity, name: str) -> None:
    headers = to_headers(identity, Topic.CATALOGUE)
    del headers[name]
    with pytest.raises(BadHeadersError, match=name):
        from_headers(headers)


@given(identities, st.dictionaries(st.sampled_from(["ce_id", "ce_time", "ce_revision", "ce_libraryid"]), st.binary()))
def test_nonsense_is_refused_with_our_error_or_read(identity: Identity, nonsense: dict[str, bytes]) -> None:
    try:
        read = from_headers(to_headers(identity, Topic.CATALOGUE) | nonsense)
    except BadHeadersError:
        return
    assert read.key == identity.key


def test_a_time_without_an_offset_is_refused() -> None:
    any_type = min(TOPIC_OF_TYPE)
    example = Identity(UUID(int=1), any_type, "k", UUID(int=2), 1, datetime(2026, 1, 2, tzinfo=UTC))
    headers = to_headers(example, Topic.CATALOGUE) | {"ce_time": b"2026-01-02T00:00:00"}
    with pytest.raises(BadHeadersError, match="offset"):
        from_headers(headers)


@pytest.mark.parametrize(
    "bad",
    [
        {"ce_subject": b"photo\0"},
        {"ce_type": b"\0"},
        {"ce_subject": b"\xff"},
        {"ce_revision": b"9223372036854775808"},
        {"ce_revision": b"-1"},
        {"ce_time": b"0001-01-01T00:00:00+14:00"},
        {"ce_specversion": b"0.3"},
    ],
)
def test_what_no_database_could_keep_is_refused(bad: dict[str, bytes]) -> None:
    example = Identity(UUID(int=1), "any.Type", "k", UUID(int=2), 1, datetime(2026, 1, 2, tzinfo=UTC))
    with pytest.raises(BadHeadersError):
        from_headers(to_headers(example, Topic.CATALOGUE) | bad)


def test_a_header_of_somebody_else_is_passed_over() -> None:
    example = Identity(UUID(int=1), "any.Type", "k", UUID(int=2), 1, datetime(2026, 1, 2, tzinfo=UTC))
    assert from_headers(to_headers(example, Topic.CATALOGUE) | {"x-trace": b"\xff\0"}) == example
