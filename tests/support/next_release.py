"""Contracts of a release to come, made of today's: what two releases that run side by side say to each other."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

PROTO = Path(__file__).resolve().parents[2] / "proto"
BUF = Path(sys.executable).parent / "buf"

PACKAGE = "gallery.events.v1"

Edits = Mapping[str, Sequence[tuple[str, str]]]
"""By file: texts of today, and what stands there instead."""

COMPATIBLE: Edits = {
    "uploads.proto": [
        ("int64 uploaded_at_ms = 7;", "int64 uploaded_at_ms = 7;\n  int32 moving_ms = 8;"),
        ("LANE_BACKFILL = 2;", "LANE_BACKFILL = 2;\n  LANE_NIGHT = 3;"),
        ("// Which queue", "message PhotoStacked {\n  string photo_id = 1;\n  string top_id = 2;\n}\n\n// Which queue"),
    ],
    "analysis.proto": [
        ("int32 faces = 5;", "int32 faces = 5;\n  int32 objects = 6;"),
        ("int32 attempts = 5;", "int32 attempts = 5;\n  int64 cpu_ms = 6;"),
        ("STAGE_STATE_REJECTED = 3;", "STAGE_STATE_REJECTED = 3;\n  STAGE_STATE_POSTPONED = 4;"),
        ("FACE_STATE_IGNORED = 4;", "FACE_STATE_IGNORED = 4;\n  FACE_STATE_STRANGER = 5;"),
    ],
}
"""A field, a value and a type more, wherever such may come."""


@dataclass(frozen=True, slots=True)
class NextRelease:
    """A release whose contracts differ from today's, in a folder of its own."""

    proto: Path

    @classmethod
    def made(cls, folder: Path, edits: Edits) -> "NextRelease":
        """Write its contracts into a new folder."""
        proto = folder / "proto"
        shutil.copytree(PROTO, proto, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
        for name, changes in edits.items():
            path = proto / "gallery/events/v1" / name
            text = path.read_text()
            for today, then in changes:
                assert text.count(today) == 1, f"{today!r} stands {text.count(today)} times in {name}"
                text = text.replace(today, then)
            path.write_text(text)
        return cls(proto)

    def complaints(self, *, against: Path) -> list[str]:
        """What ``buf breaking`` says of it; nothing where it may be released."""
        command = [str(each) for each in (BUF, "breaking", self.proto, "--against", against)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert answer.returncode in {0, 100}, answer.stderr  # 100: there are complaints
        assert bool(answer.returncode) == bool(answer.stdout), answer.stderr
        return answer.stdout.splitlines()

    def messages(self) -> Mapping[str, type[Message]]:
        """Its classes by short name; their full names are those of today's, which they have nothing to do with."""
        built = subprocess.run([BUF, "build", self.proto, "-o", "-"], capture_output=True, check=True)
        files = FileDescriptorSet.FromString(built.stdout).file
        pool = DescriptorPool()
        for file in files:
            pool.Add(file)
        return {
            declared.name: GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{declared.name}"))
            for file in files
            for declared in file.message_type
        }


@pytest.fixture(scope="session")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> NextRelease:
    """One that understands today's and is understood by it."""
    return NextRelease.made(tmp_path_factory.mktemp("next"), COMPATIBLE)


@pytest.fixture(scope="session")
def of_next(next_release: NextRelease) -> Mapping[str, type[Message]]:
    """Its messages."""
    return next_release.messages()
