"""onnxruntime, on the processor or on an NVIDIA GPU."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gallery.ml_worker.errors import RuntimeUnavailableError
from gallery.ml_worker.sessions import RuntimeName, Session, Tensor
from gallery.ml_worker.sessions.graph import read_graph

CPU = "CPUExecutionProvider"

PROVIDERS: Mapping[RuntimeName, Sequence[str]] = {
    RuntimeName.ONNXRUNTIME: (CPU,),
    RuntimeName.CUDA: ("CUDAExecutionProvider", CPU),
    RuntimeName.TENSORRT: ("TensorrtExecutionProvider", "CUDAExecutionProvider", CPU),
}
"""What each runs on, the best first; the processor takes the operators that the others lack."""


def available() -> frozenset[RuntimeName]:
    """Those that this build of onnxruntime has. Whether there is a GPU shows when a network is loaded."""
    import onnxruntime

    there = onnxruntime.get_available_providers()
    return frozenset(name for name, (first, *_) in PROVIDERS.items() if first in there)


class OnnxRuntime:
    """Loads networks into onnxruntime."""

    def __init__(self, providers: Sequence[str]) -> None:
        """Keep what to run on, the best first."""
        self._providers = list(providers)
        if self._providers != [CPU]:
            import onnxruntime

            # CUDA comes as Python packages, in whose folders nobody looks for libraries.
            onnxruntime.preload_dlls()

    def load(self, path: Path, *, also: Sequence[str] = (), exact: bool = True) -> Session:  # noqa: ARG002
        """Load a graph; it is always exact.

        Raises:
            RuntimeUnavailableError: There is no GPU.
        """
        return OnnxSession(path, also=also, providers=self._providers)


class OnnxSession:
    """One thread a run on the processor.

    Cores are shared out by running several batches at once, so a run's own threads would only fight and, by default,
    spin. Memory patterns are off because a detector sees inputs of many sizes.
    """

    def __init__(self, path: Path, *, also: Sequence[str] = (), providers: Sequence[str] = (CPU,)) -> None:
        """Load a graph; see ``Runtime.load``."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        graph = read_graph(path, also=also)
        self._session = onnxruntime.InferenceSession(graph, options, providers=list(providers))
        if self._session.get_providers()[0] != providers[0]:
            raise RuntimeUnavailableError(f"{providers[0]} cannot be used here: is there a GPU, and its driver?")

    def run(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """Compute every output, in the graph's order."""
        outputs: Sequence[Tensor] = self._session.run(None, dict(inputs))
        return outputs
