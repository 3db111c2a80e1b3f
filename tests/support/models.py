"""What networks run on in tests, unless a test is about that: what every installation has."""

from gallery.ml_worker.sessions import RuntimeName, open_runtime

RUNTIME = open_runtime(RuntimeName.ONNXRUNTIME, threads=1)
