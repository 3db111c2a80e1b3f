"""Where a network runs: a port that one more runtime can fill, and onnxruntime on the CPU."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

Tensor = NDArray[Any]

FLOAT_TENSOR = b"\x12\x04\x0a\x02\x08\x01"
"""Field 2 (type) of an ONNX ValueInfoProto, saying ``tensor of float32`` without a shape."""


class Session(Protocol):
    """One loaded network."""

    def run(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """Compute every output, in the graph's order. Blocks; safe from several threads."""
        ...


class OnnxSession:
    """onnxruntime with one thread a run.

    Cores are shared out by running several processes, so a run's own threads would only fight and, by default, spin.
    Memory patterns are off because a detector sees inputs of many sizes.
    """

    def __init__(self, path: Path, *, also: Sequence[str] = ()) -> None:
        """Load a graph.

        Args:
            path: An ONNX file.
            also: Inner float32 values to hand out behind the graph's own outputs.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        graph = path.read_bytes() + b"".join(map(_extra_output, also))
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """Compute every output, in the graph's order."""
        outputs: Sequence[Tensor] = self._session.run(None, dict(inputs))
        return outputs


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
