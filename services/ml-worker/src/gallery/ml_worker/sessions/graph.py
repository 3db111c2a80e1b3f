"""ONNX files, with more outputs than they were saved with."""

from collections.abc import Sequence
from pathlib import Path

FLOAT_TENSOR = b"\x12\x04\x0a\x02\x08\x01"
"""Field 2 (type) of an ONNX ValueInfoProto, saying ``tensor of float32`` without a shape."""


def read_graph(path: Path, *, also: Sequence[str]) -> bytes:
    """Read a graph that hands out inner float32 values behind its own outputs."""
    return path.read_bytes() + b"".join(map(_extra_output, also))


def _extra_output(name: str) -> bytes:
    """Serialise a ModelProto that holds nothing but one more graph output.

    Protobuf merges what is appended into the message before it, so no ONNX library is needed to expose an inner value.
    Fields: ModelProto.graph = 7, GraphProto.output = 12, ValueInfoProto.name = 1 (onnx.proto).
    """
    return _field(7, _field(12, _field(1, name.encode()) + FLOAT_TENSOR))


def _field(number: int, content: bytes) -> bytes:
    """Encode a length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encode a length in seven bits a byte, the lowest first."""
    head = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits fit a byte of a varint
        head.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*head, value])
