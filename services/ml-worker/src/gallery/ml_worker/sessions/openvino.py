"""OpenVINO on the processor: an extra, since it is large and a GPU does without it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import local
from typing import Any

import numpy as np

from gallery.ml_worker.sessions import Session, Tensor
from gallery.ml_worker.sessions.graph import read_graph

DEVICE = "CPU"


class OpenVinoRuntime:
    """Loads networks into OpenVINO."""

    def __init__(self, *, threads: int) -> None:
        """Open it.

        Args:
            threads: As many runs go on at the same time, each on one core.
        """
        import openvino

        # Its binding to numpy is made at the first use of a tensor's data. Two threads that come to it together wait
        # for one another for ever, one with the interpreter's lock (seen in 2026.4.1), so it is made here.
        _ = openvino.Tensor(np.zeros(1, np.float32)).data
        self._core: Any = openvino.Core()
        self._threads = threads
        self._has_bfloat16 = "BF16" in self._core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")

    def load(self, path: Path, *, also: Sequence[str] = (), exact: bool = True) -> Session:
        """Load a graph. The precision is set, or OpenVINO takes bfloat16 by itself and vectors differ between hosts."""
        choices = {
            "INFERENCE_PRECISION_HINT": "bf16" if self._has_bfloat16 and not exact else "f32",
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": self._threads,
            "ENABLE_CPU_PINNING": False,
        }
        return OpenVinoSession(
            self._core.compile_model(self._core.read_model(read_graph(path, also=also)), DEVICE, choices)
        )


class OpenVinoSession:
    """One compiled network; each thread that runs it has a request of its own."""

    def __init__(self, compiled: Any) -> None:
        """Keep the network."""
        self._compiled = compiled
        self._mine = local()

    def run(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """Compute every output, in the graph's order."""
        if not hasattr(self._mine, "request"):
            self._mine.request = self._compiled.create_infer_request()
        found = self._mine.request.infer(dict(inputs))
        return [found[output] for output in self._compiled.outputs]
