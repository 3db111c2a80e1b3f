import io
import json
import random
import struct
from datetime import UTC, datetime
from typing import Any

import piexif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gallery.metadata.header import gps, times, xmp
from gallery.metadata.header.child import describe
from gallery.metadata.header.exif import Tags, camera_name

DEGREES = ((50, 1), (2, 1), (5188, 100))


def described(data: Any, media_type: Any = "image/jpeg") -> Any:
    answer, blobs = describe({"media_type": media_type}, [memoryview(data)])
    assert blobs == []
    return json.loads(json.dumps(answer, allow_nan=False))


def exif(**parts: Any) -> Any:
    full = {
        "0th": {piexif.ImageIFD.Make: b"NIKON CORPORATION", piexif.ImageIFD.Model: b"NIKON D70"},
        "Exif": {piexif.ExifIFD.DateTimeOriginal: b"2008:05:30 15:56:01"},
        "GPS": {1: b"N", 2: DEGREES, 3: b"W", 4: DEGREES, 5: 1, 6: (25, 10)},
    }
    for name, values in parts.items():
        full[name.replace("_", "")] = values
    return piexif.dump(full)


def saved(kind: Any, block: Any, **more: Any) -> Any:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, kind, exif=block, **more)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("TIFF", "image/tiff"),
        ("AVIF", "image/avif"),
    ],
)
def test_the_same_header_in_every_container(kind: Any, media_type: Any) -> None:
    answer = described(saved(kind, exif()), media_type)
    assert answer["camera"] == "Nikon D70"
    assert answer["times"][0] == {"source": "exif:DateTimeOriginal", "wall": "2008-05-30T15:56:01", "offset": None}
    assert answer["gps"]["latitude"] == pytest.approx(50.04774444)
    assert answer["gps"]["longitude"] == pytest.approx(-50.04774444)
    assert answer["gps"]["altitude"] == -2.5
    assert answer["reason"] == ""


@pytest.mark.parametrize(
    "values",
    [
        {1: b"N", 2: ((0, 1),) * 3, 3: b"E", 4: ((0, 1),) * 3},
        {1: b"N", 2: ((91, 1), (0, 1), (0, 1)), 3: b"E", 4: DEGREES},
        {1: b"N", 2: DEGREES, 3: b"E", 4: ((181, 1), (0, 1), (0, 1))},
        {1: b"N", 2: ((1, 0), (0, 1), (0, 1)), 3: b"E", 4: DEGREES},
        {1: b"N", 2: ((10, 1), (60, 1), (0, 1)), 3: b"E", 4: DEGREES},
        {1: b"N", 2: DEGREES, 3: b"E", 4: DEGREES, 9: b"V"},
        {1: b"N", 2: DEGREES},
    ],
)
def test_positions_that_cannot_be_are_refused(values: Any) -> None:
    answer = described(saved("JPEG", exif(GPS=values)))
    assert answer["gps"] is None
    assert answer["camera"] == "Nikon D70"


def test_minutes_without_denominator_count_as_none() -> None:
    values = {1: b"S", 2: ((10, 1), (30, 1), (0, 0)), 3: b"?", 4: DEGREES}
    found = described(saved("JPEG", exif(GPS=values)))["gps"]
    assert found["latitude"] == -10.5
    assert found["longitude"] > 0


def test_a_header_cut_anywhere_gives_what_was_read() -> None:
    whole = saved("JPEG", exif())
    answers = [described(whole[:length]) for length in range(0, len(whole), 7)]
    assert answers[0]["camera"] is None
    assert answers[-1]["camera"] == "Nikon D70"


def test_noise_in_a_header_never_raises() -> None:
    chance = random.Random(7)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        whole = saved(kind, exif())
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 12)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            assert "camera" in described(bytes(data), f"image/{kind.lower()}")


def test_a_directory_that_points_at_itself_ends() -> None:
    loop = b"II*\x00" + struct.pack("<I", 8) + struct.pack("<H", 2)
    loop += struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x8825, 4, 1, 8) + struct.pack("<I", 8)
    assert described(loop, "image/tiff")["times"] == []


@given(st.binary(max_size=600))
def test_any_bytes_have_an_answer(data: Any) -> None:
    for start in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"II*\0", b"\0\0\0\x18ftypheic"):
        assert "camera" in described(start + data)
    assert "times" in described(data, "video/mp4")
    xmp.read(data)


def test_xmp_speaks_where_exif_is_silent() -> None:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
        ' exif:GPSLatitude="50,2.8646N" exif:GPSLongitude="8,34.3413E" tiff:Make="Jolla" tiff:Model="Jolla">'
        "<exif:DateTimeOriginal>2014-09-21T16:00:56.5+02:00</exif:DateTimeOriginal></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    answer = described(saved("WEBP", b"", xmp=packet.encode()), "image/webp")
    assert answer["times"] == [{"source": "xmp:DateTimeOriginal", "wall": "2014-09-21T16:00:56.500000", "offset": 120}]
    assert answer["gps"]["latitude"] == pytest.approx(50.0477433)
    assert answer["camera"] == "Jolla"


def test_entities_of_xmp_are_refused() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    assert xmp.read(bomb) == ({}, True)


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("NIKON CORPORATION", "NIKON D70", "Nikon D70"),
        ("Canon", "Canon EOS 40D", "Canon EOS 40D"),
        ("Apple", "iPhone 8", "Apple iPhone 8"),
        ("SONY", "HDR-HC3", "Sony HDR-HC3"),
        ("OLYMPUS IMAGING CORP.", "E-M5", "Olympus E-M5"),
        ("LGE", "Nexus 5", "LGE Nexus 5"),
        (None, "X100", "X100"),
        ("Jolla", None, "Jolla"),
        (None, None, None),
    ],
)
def test_cameras_are_called_as_people_call_them(make: Any, model: Any, name: Any) -> None:
    assert camera_name(make, model) == name


@pytest.mark.parametrize(
    "text", ["0000:00:00 00:00:00", "2008:13:01 00:00:00", "    :  :     :  :  ", "", "1066:10:14 09:00:00"]
)
def test_times_that_are_none(text: Any) -> None:
    assert times.wall_time(text) is None


def test_fractions_are_digits_after_the_point() -> None:
    assert times.fraction_of_second("054").microseconds == 54_000
    assert times.fraction_of_second("85 ").microseconds == 850_000
    assert times.fraction_of_second("9999999999").microseconds == 0
    assert not times.fraction_of_second("ab")


def test_a_film_says_when_and_where() -> None:
    def box(kind: Any, content: Any) -> Any:
        return struct.pack(">I4s", len(content) + 8, kind) + content

    text = b"2019-06-09T12:57:32+0200"
    keys = box(b"keys", bytes(4) + struct.pack(">I", 1) + box(b"mdta", b"com.apple.quicktime.creationdate"))
    values = box(b"ilst", box(struct.pack(">I", 1), box(b"data", struct.pack(">II", 1, 0) + text)))
    place = b"+50.0477+008.5723+103.846/"
    user = box(b"udta", box(b"\xa9xyz", struct.pack(">HH", len(place), 0) + place))
    header = box(b"mvhd", bytes(4) + struct.pack(">IIII", 3_643_000_000, 0, 600, 1200))
    answer = described(box(b"moov", header + user + box(b"meta", keys + values)), "video/quicktime")
    assert answer["times"][0] == {"source": "quicktime:creationdate", "wall": "2019-06-09T12:57:32", "offset": 120}
    assert answer["times"][1]["source"] == "quicktime:mvhd"
    assert answer["gps"] == {"latitude": 50.0477, "longitude": 8.5723, "altitude": 103.846, "direction": None}


def test_the_satellites_day_needs_all_its_parts() -> None:
    values = {"GPS GPSDate": "2018:02:05", "GPS GPSTimeStamp": [7, 11, 43.07]}
    found = gps.instant(Tags(values, broken=False))
    assert found == datetime(2018, 2, 5, 7, 11, 43, 70_000, tzinfo=UTC)
    assert gps.instant(Tags(values | {"GPS GPSTimeStamp": [7, 61, 0]}, broken=False)) is None
    assert gps.instant(Tags({"GPS GPSDate": "2018:02:05"}, broken=False)) is None
