"""Render the topic catalogue, ``proto/topics/*.yaml``, as the Python module that programs read."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

_MESSAGE = re.compile(r"^message (\w+)", re.MULTILINE)
_NAMES = {"types", "key", "producer", "consumers", "partitions", "retention", "dead_letters"}

_MODULE = '''"""The topics. Generated from ``proto/topics`` by proto/generate.py: change those files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from google.protobuf.message import Message

{imports}


class Topic(StrEnum):
    """A stream of facts with one producer."""

    {members}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of a topic.

    Attributes:
        types: What it carries.
        producer: The service that speaks on it.
        consumers: The services that listen to it.
        partitions: How many members of a subscription can share it. Fixed for ever: with another number, keys change
            their partition, and order holds no longer.
        retention: How long a fact is kept.
    """

    types: tuple[type[Message], ...]
    producer: str
    consumers: tuple[str, ...]
    partitions: int
    retention: timedelta


CATALOGUE: Mapping[Topic, Entry] = MappingProxyType({{{entries}}})

TYPES: Mapping[Topic, tuple[type[Message], ...]] = MappingProxyType(
    {{topic: entry.types for topic, entry in CATALOGUE.items()}}
)
"""What each topic carries."""

TOPIC_OF_TYPE: Mapping[str, Topic] = MappingProxyType(
    {{body.DESCRIPTOR.full_name: topic for topic, bodies in TYPES.items() for body in bodies}}
)
"""Where a type, by its full protobuf name, belongs."""
'''


def render(proto: Path) -> str:
    """Return the module's text."""
    topics = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(proto.glob("topics/*.yaml"))}
    for name, topic in topics.items():
        if topic.keys() != _NAMES:
            raise SystemExit(f"{name}.yaml: should have {sorted(_NAMES)}, has {sorted(topic)}")
    text = _MODULE.format(
        imports="\n".join(_imports(proto, topics)),
        members="\n    ".join(f'{_member(name)} = "{name}"' for name in topics),
        entries="".join(f"Topic.{_member(name)}: {_entry(topic)}," for name, topic in topics.items()),
    )
    command = ["ruff", "format", "--config", proto.parent / "ruff.toml", "--stdin-filename", "topics.py", "-"]
    return subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, check=True).stdout


def _imports(proto: Path, topics: dict[str, Any]) -> list[str]:
    used = {kind.rpartition(".")[2] for topic in topics.values() for kind in topic["types"]}
    lines = []
    for path in sorted(proto.glob("gallery/events/v1/*.proto")):
        names = sorted(used & set(_MESSAGE.findall(path.read_text())))
        if names:
            lines.append(f"from gallery.events.v1.{path.stem}_pb2 import {', '.join(names)}")
    return lines


def _member(name: str) -> str:
    return name.rpartition(".")[2].upper()


def _entry(topic: dict[str, Any]) -> str:
    types = "".join(f"{kind.rpartition('.')[2]}, " for kind in topic["types"])
    number, unit = topic["retention"].split()
    return (
        f"Entry(types=({types}), producer={topic['producer']!r}, consumers={tuple(topic['consumers'])!r}, "
        f"partitions={int(topic['partitions'])}, retention=timedelta({unit}={int(number)}))"
    )
