from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.metadata.domain import Taken
from gallery.metadata.taken import OFFSETS, Clues, Stamp, choose, of_name, offset_between

UPLOADED = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def clues(
    *stamps: Any, instant: Any = None, file: Any = "DSCN0010.jpg", modified_at: Any = None, zone: Any = None
) -> Any:
    return Clues(stamps=stamps, instant=instant, file=file, modified_at=modified_at, uploaded_at=UPLOADED, zone=zone)


def local(text: Any) -> Any:
    return datetime.fromisoformat(text)


def test_a_time_without_offset_stays_local() -> None:
    taken = choose(clues(Stamp("exif:DateTimeOriginal", local("2024-07-01T12:00:00"))))
    assert (taken.wall, taken.offset, taken.source) == (local("2024-07-01T12:00:00"), None, "exif:DateTimeOriginal")


def test_its_own_offset_wins_over_the_satellites() -> None:
    stamp = Stamp("exif:DateTimeOriginal", local("2024-07-01T12:00:00"), 60)
    taken = choose(clues(stamp, instant=local("2024-07-01T10:00:00")))
    assert (taken.offset, taken.offset_source) == (60, "header")


def test_satellites_give_the_offset_that_the_clock_lacks() -> None:
    stamp = Stamp("exif:DateTimeOriginal", local("2019-06-09T12:57:32.835"))
    taken = choose(clues(stamp, instant=local("2019-06-09T10:57:29.45")))
    assert (taken.wall, taken.offset, taken.offset_source) == (stamp.wall, 120, "gps_time")


def test_satellites_a_day_apart_are_not_believed() -> None:
    stamp = Stamp("exif:DateTimeOriginal", local("2008-10-22T16:28:39"))
    assert choose(clues(stamp, instant=local("2008-10-23T14:27:07"))).offset is None


def test_xmp_lends_its_offset_to_the_same_second() -> None:
    exif = Stamp("exif:DateTimeOriginal", local("2008-03-15T09:52:01.5"))
    taken = choose(clues(exif, Stamp("xmp:DateTimeOriginal", local("2008-03-15T09:52:01"), -240)))
    assert (taken.wall, taken.offset, taken.source) == (exif.wall, -240, "exif:DateTimeOriginal")


def test_an_editors_time_comes_after_the_satellites() -> None:
    changed = Stamp("exif:DateTime", local("2020-01-01T00:00:00"))
    assert choose(clues(changed, instant=local("2015-05-05T10:00:00"))).source == "gps"
    assert choose(clues(changed, file="IMG_20150505_100000.jpg")).source == "exif:DateTime"


def test_an_instant_is_shown_as_the_clock_of_its_place() -> None:
    taken = choose(clues(Stamp("quicktime:mvhd", local("2024-07-01T12:00:00"), 0), zone="Europe/Rome"))
    assert (taken.wall, taken.offset, taken.offset_source) == (local("2024-07-01T14:00:00"), 120, "place")
    unknown = choose(clues(Stamp("quicktime:mvhd", local("2024-07-01T12:00:00"), 0), zone="Nowhere/Atall"))
    assert (unknown.wall, unknown.offset) == (local("2024-07-01T12:00:00"), 0)


def test_without_header_the_name_then_the_file_then_the_upload() -> None:
    modified = datetime(2021, 1, 1, tzinfo=UTC)
    assert choose(clues(file="a/IMG_20150505_100000.jpg", modified_at=modified)).source == "file_name"
    assert choose(clues(modified_at=modified)).source == "file_time"
    assert choose(clues()) == choose(clues(zone="Nowhere/Atall"))
    assert choose(clues()).wall == UPLOADED.replace(tzinfo=None)


def test_another_gallery_is_believed_after_the_header_and_before_the_name() -> None:
    said = Stamp("takeout:photoTakenTime", local("2015-07-12T10:00:00"), 0)
    named = replace(clues(file="IMG_20150505_100000.jpg"), said=said)
    assert choose(named) == Taken(said.wall, 0, said.source, "clock")
    changed = replace(clues(Stamp("exif:DateTime", local("2020-01-01T00:00:00"))), said=said)
    assert choose(changed).source == "exif:DateTime"
    in_rome = choose(replace(clues(zone="Europe/Rome"), said=said))
    assert (in_rome.wall, in_rome.offset, in_rome.offset_source) == (local("2015-07-12T12:00:00"), 120, "place")


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("IMG_20240131_235959.jpg", "2024-01-31T23:59:59"),
        ("PXL_20230102_030405678.jpg", "2023-01-02T03:04:05"),
        ("2024-01-31 23.59.59.jpg", "2024-01-31T23:59:59"),
        ("IMG-20240131-WA0001.jpg", "2024-01-31T00:00:00"),
        ("Screenshot_2021-05-06-07-08-09-123.png", "2021-05-06T07:08:09"),
        ("Photo 2020-01-02 at 03.04.05.jpg", "2020-01-02T03:04:05"),
        ("trip/20240131235959.jpg", "2024-01-31T23:59:59"),
        ("20240230_101010.jpg", None),
        ("20240131/DSCN0010.jpg", None),
        ("12345678901234.jpg", None),
    ],
)
def test_names_of_files(name: Any, when: Any) -> None:
    assert of_name(name) == (None if when is None else local(when))


@given(st.datetimes(), st.sampled_from(OFFSETS), st.integers(-299, 299))
def test_every_offset_on_earth_is_found_again(instant: Any, offset: Any, drift: Any) -> None:
    from datetime import timedelta

    try:
        wall = instant + timedelta(minutes=offset, seconds=drift)
    except OverflowError:
        return
    assert offset_between(wall, instant) == offset
