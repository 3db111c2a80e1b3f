"""What may change from one release to the next while both run, and what may not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from support.next_release import PROTO, Edits, NextRelease

from gallery.events.topics import TYPES

TODAY: dict[str, type[Message]] = {body.DESCRIPTOR.name: body for bodies in TYPES.values() for body in bodies}

SAID: dict[str, dict[str, Any]] = {
    "PhotoUploaded": {"photo_id": "a", "lane": "LANE_NIGHT", "moving_ms": 1500},
    "PhotoAnalysed": {
        "photo_id": "a",
        "stages": [{"stage": "objects", "state": "STAGE_STATE_POSTPONED", "cpu_ms": 40}],
        "objects": 3,
    },
    "FacesProposed": {"photo_id": "a", "faces": [{"face_id": "f", "state": "FACE_STATE_STRANGER"}]},
}
"""What today's release has no words for, each with something that it has."""

INCOMPATIBLE: dict[str, tuple[Edits, str]] = {
    "a field is gone": ({"uploads.proto": [("  string blob_key = 2;\n", "")]}, '"2" with name "blob_key"'),
    "a field has another type": ({"uploads.proto": [("int64 size_bytes", "string size_bytes")]}, "size_bytes"),
    "a field has another number": ({"uploads.proto": [("media_type = 5", "media_type = 9")]}, "media_type"),
    "a field has another name": ({"uploads.proto": [("media_type = 5", "mime = 5")]}, "media_type"),
    "a list has become one": ({"catalogue.proto": [("repeated string face_ids", "string face_ids")]}, "face_ids"),
    "a value is gone": ({"analysis.proto": [("  STAGE_STATE_REJECTED = 3;\n", "")]}, "StageState"),
    "a value has another name": ({"analysis.proto": [("STATE_FAILED = 2", "STATE_BROKEN = 2")]}, "STAGE_STATE_FAILED"),
}


def test_a_release_that_only_adds_may_come(next_release: NextRelease) -> None:
    assert next_release.complaints(against=PROTO) == []
    assert next_release.complaints(against=PROTO / "released.binpb") == []


@pytest.mark.parametrize(("edits", "named"), INCOMPATIBLE.values(), ids=INCOMPATIBLE)
def test_a_release_that_takes_away_is_refused(tmp_path: Path, edits: Edits, named: str) -> None:
    complaints = NextRelease.made(tmp_path, edits).complaints(against=PROTO / "released.binpb")
    assert [line for line in complaints if named in line], complaints


@pytest.mark.parametrize("name", SAID)
def test_today_reads_what_it_knows_and_passes_the_rest_on(of_next: Mapping[str, type[Message]], name: str) -> None:
    said = json_format.ParseDict(SAID[name], of_next[name]())
    read = TODAY[name].FromString(said.SerializeToString())
    assert read.photo_id == "a"  # type: ignore[attr-defined]
    assert of_next[name].FromString(read.SerializeToString()) == said


@pytest.mark.parametrize("name", TODAY)
def test_the_next_reads_what_today_says(of_next: Mapping[str, type[Message]], name: str) -> None:
    example = (PROTO / "examples" / "v1" / f"{name}.binpb").read_bytes()
    read = of_next[name].FromString(example)
    assert json_format.MessageToDict(read) == json_format.MessageToDict(TODAY[name].FromString(example))
