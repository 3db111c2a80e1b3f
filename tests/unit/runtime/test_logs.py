"""Libraries that complain many times a second are heard once a minute; we are heard each time."""

import logging

from gallery.runtime.logs import COMPLAINTS, OnceAMinute


def said(name: str, text: str, *values: object, at: float = 0, error: bool = False) -> logging.LogRecord:
    failure = OSError("failed")
    cause = (OSError, failure, failure.__traceback__) if error else None
    record = logging.LogRecord(name, logging.ERROR, "", 0, text, values, cause)
    record.created = 1_000_000 + at
    return record


def test_a_library_repeats_itself_once_a_minute() -> None:
    heard = OnceAMinute()
    passed = [at for at in range(150) if heard.filter(said("client", "node %s is away: %s", at, "refused", at=at))]
    assert passed == [0, 60, 120]


def test_another_complaint_is_heard_at_once() -> None:
    heard = OnceAMinute()
    assert heard.filter(said("client", "node %s is away"))
    assert heard.filter(said("client", "node %s is back"))
    assert heard.filter(said("other", "node %s is away"))


def test_our_own_lines_and_errors_with_a_traceback_always_pass() -> None:
    heard = OnceAMinute()
    assert all(heard.filter(said("gallery.adapters.kafka_bus", "partitions assigned")) for _ in range(3))
    assert all(heard.filter(said("client", "failed", error=True)) for _ in range(3))


def test_a_library_that_never_says_the_same_fills_no_memory() -> None:
    heard = OnceAMinute()
    assert all(heard.filter(said("client", f"node {number} is away")) for number in range(3 * COMPLAINTS))
    assert len(heard._passed) <= COMPLAINTS
