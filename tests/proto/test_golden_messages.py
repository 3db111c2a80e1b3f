"""What was ever sent is understood for ever: each example still parses to the same."""

from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from gallery.events.topics import TYPES

EXAMPLES = Path(__file__).resolve().parents[2] / "proto" / "examples" / "v1"
BODIES: list[type[Message]] = [body for bodies in TYPES.values() for body in bodies]


def stem(body: type[Message]) -> Path:
    return EXAMPLES / body.DESCRIPTOR.name


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.DESCRIPTOR.name)
def test_an_example_parses_to_what_it_always_did(body: type[Message]) -> None:
    binary = body.FromString(stem(body).with_suffix(".binpb").read_bytes())
    text = json_format.Parse(stem(body).with_suffix(".json").read_text(), body())
    assert binary == text
    assert binary.SerializeToString(deterministic=True) == stem(body).with_suffix(".binpb").read_bytes()


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.DESCRIPTOR.name)
def test_an_example_fills_every_field(body: type[Message]) -> None:
    example = json_format.Parse(stem(body).with_suffix(".json").read_text(), body())
    assert {field.name for field, _ in example.ListFields()} == set(body.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.DESCRIPTOR.name)
def test_a_field_of_the_future_is_accepted_and_kept(body: type[Message]) -> None:
    future = stem(body).with_suffix(".binpb").read_bytes() + b"\xf2\x3f\x03new"  # field 1022, bytes
    assert body.FromString(future).SerializeToString(deterministic=True) == future


def test_no_example_is_of_a_type_that_is_gone() -> None:
    names = {body.DESCRIPTOR.name for body in BODIES}
    assert {path.stem for path in EXAMPLES.iterdir()} == names
