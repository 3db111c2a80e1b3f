"""GPS and times beside exiftool's, over every test photo where exiftool finds EXIF ones."""

import json
import shutil
import subprocess
from datetime import datetime
from typing import Any

import pytest

from gallery.metadata.header.child import describe

# What differs, and why. A file that is not named here has to agree in everything. Nothing differs at present.
# Outside of EXIF, and so not compared: exiftool also reads IPTC, from which it composes a time with offset for
# thompson-springs.jpg and time-created.jpg; we read XMP there and no IPTC.
DIFFERENCES: dict[str, str] = {}
DEGREE_TOLERANCE = 1e-6
TAGS = (
    "-GPSLatitude",
    "-GPSLongitude",
    "-GPSAltitude",
    "-DateTimeOriginal",
    "-SubSecTimeOriginal",
    "-OffsetTimeOriginal",
)
GROUPS = {"ExifIFD", "IFD0", "GPS", "SubIFD"}


@pytest.fixture(scope="module")
def reference(shared: Any) -> Any:
    if shutil.which("exiftool") is None:
        pytest.skip("needs exiftool on the path (Debian: libimage-exiftool-perl)")
    folders = [shared / "photos" / name for name in ("exif", "formats")]
    listing = subprocess.run(
        ["exiftool", "-j", "-n", "-G1", *TAGS, "-Composite:all", "-EXIF:all", *map(str, folders)],
        capture_output=True,
        check=False,
        text=True,
    )
    return {row["SourceFile"]: row for row in json.loads(listing.stdout)}


@pytest.fixture(scope="module")
def ours(reference: Any) -> Any:
    def read(file: Any) -> Any:
        with open(file, "rb") as source:  # noqa: PTH123 - exiftool's own name of the file
            return describe({"media_type": "image/any"}, [memoryview(source.read())])[0]

    return {file: read(file) for file in reference}


def differing(reference: Any, compare: Any) -> Any:
    return {file.rpartition("/")[2]: found for file, row in reference.items() if (found := compare(file, row))}


def unexplained(found: Any) -> Any:
    return {name: values for name, values in found.items() if name not in DIFFERENCES}


def test_positions_agree(reference: Any, ours: Any) -> None:
    seen = 0

    def compare(file: Any, row: Any) -> Any:
        nonlocal seen
        theirs = [row.get(f"Composite:GPS{part}") for part in ("Latitude", "Longitude", "Altitude")]
        found = ours[file]["gps"] or {}
        mine = [found.get(part) for part in ("latitude", "longitude", "altitude")]
        if "GPS:GPSLatitude" not in row:
            return None
        seen += 1
        return None if all(near(a, b) for a, b in zip(theirs, mine, strict=True)) else (theirs, mine)

    assert unexplained(differing(reference, compare)) == {}
    assert seen > 15


def near(theirs: Any, mine: Any) -> Any:
    if theirs is None or mine is None:
        return theirs == mine
    return abs(float(theirs) - mine) <= DEGREE_TOLERANCE


def test_times_agree(reference: Any, ours: Any) -> None:
    seen = 0

    def compare(file: Any, row: Any) -> Any:
        nonlocal seen
        text = next((row[f"{group}:DateTimeOriginal"] for group in GROUPS if f"{group}:DateTimeOriginal" in row), None)
        if text is None:
            return None
        seen += 1
        text = row.get("Composite:SubSecDateTimeOriginal", text)
        stamp = next(iter(ours[file]["times"]), None)
        return None if stamp and as_exiftool(stamp) == parsed(text) else (text, stamp)

    assert unexplained(differing(reference, compare)) == {}
    assert seen > 25


def as_exiftool(stamp: Any) -> Any:
    return datetime.fromisoformat(stamp["wall"]), stamp["offset"]


def parsed(text: Any) -> Any:
    day, _, clock = text.partition(" ")
    when = datetime.fromisoformat(day.replace(":", "-") + "T" + clock)
    offset = when.utcoffset()
    return when.replace(tzinfo=None), None if offset is None else int(offset.total_seconds() // 60)


def test_orientations_agree(reference: Any, ours: Any) -> None:
    def compare(file: Any, row: Any) -> Any:
        theirs = row.get("IFD0:Orientation")
        return None if theirs is None or theirs == ours[file]["orientation"] else (theirs, ours[file]["orientation"])

    assert unexplained(differing(reference, compare)) == {}


def test_every_listed_difference_is_still_there(reference: Any) -> None:
    names = {file.rpartition("/")[2] for file in reference}
    assert set(DIFFERENCES) <= names
