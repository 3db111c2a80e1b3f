"""Where networks run: a port, and one module for each runtime that fills it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from gallery.ml_worker.errors import RuntimeUnavailableError

Tensor = NDArray[Any]


class Session(Protocol):
    """One loaded network."""

    def run(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """Compute every output, in the graph's order. Blocks; safe from several threads."""
        ...


class Runtime(Protocol):
    """Loads networks."""

    def load(self, path: Path, *, also: Sequence[str] = (), exact: bool = True) -> Session:
        """Load a graph.

        Args:
            path: An ONNX file.
            also: Inner float32 values to hand out behind the graph's own outputs.
            exact: Compute in float32, so that every machine gets the same vectors. Where that is not needed, because
                only boxes are read off, a processor that has bfloat16 takes a quarter of the time.
        """
        ...


class RuntimeName(StrEnum):
    """What networks may run on."""

    AUTO = "auto"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


def open_runtime(name: RuntimeName, *, threads: int) -> Runtime:
    """Open a runtime; ``auto`` takes a GPU where there is one, then OpenVINO where it is installed.

    Args:
        name: Which one.
        threads: From which sessions are run at the same time.

    Raises:
        RuntimeUnavailableError: It was asked for by name and is not there.
    """
    from gallery.ml_worker.sessions.onnx import PROVIDERS, OnnxRuntime, available

    if name is RuntimeName.AUTO:
        name = _best(available())
    if name is RuntimeName.OPENVINO:
        if not _has_openvino():
            raise RuntimeUnavailableError("OpenVINO is not installed: install gallery-ml-worker[openvino]")
        from gallery.ml_worker.sessions.openvino import OpenVinoRuntime

        return OpenVinoRuntime(threads=threads)
    if name not in available():
        raise RuntimeUnavailableError(f"onnxruntime has no {name} here: install gallery-ml-worker[cuda], with a GPU")
    return OnnxRuntime(PROVIDERS[name])


def _best(there: frozenset[RuntimeName]) -> RuntimeName:
    if RuntimeName.CUDA in there:
        return RuntimeName.CUDA
    return RuntimeName.OPENVINO if _has_openvino() else RuntimeName.ONNXRUNTIME


def _has_openvino() -> bool:
    return find_spec("openvino") is not None
