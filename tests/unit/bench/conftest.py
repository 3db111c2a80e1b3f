"""The benchmarks are scripts beside the product; what they reckon with is tested all the same."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))
