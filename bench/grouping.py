"""What one canonical grouping of a library costs, by the number of its faces.

Usage: python bench/grouping.py

Every face is compared with every other one, so that the time grows with the square of the faces, and memory with their
number: docs/capacity.md extrapolates by that. One thread, as in the people role. Faces are made up, people frequent by
Zipf's law, so that one of them, say the child of the house, has every eighth. Writes bench/results/grouping.json.
"""

import json
import multiprocessing
import os
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from gallery.ml_worker.people.grouping import GroupingFace, group

FACES = (5_000, 10_000, 20_000)
DIMENSION = 512
TOGETHER = 0.36
"""Threshold of the pack scrfd-edgeface."""
SPREAD = 0.8
"""Of faces around their person: two of one person have a cosine of 0.61 on average."""
FACES_A_PERSON = 50


def library(count: int) -> list[GroupingFace]:
    """Make faces up."""
    random = np.random.default_rng(1)
    weights = 1 / np.arange(1, count // FACES_A_PERSON + 1)
    middles = _unit(random.normal(size=(len(weights), DIMENSION)))
    people = random.choice(len(weights), count, p=weights / weights.sum())
    around = random.normal(size=(count, DIMENSION)) / np.sqrt(DIMENSION)
    vectors = _unit(middles[people] + SPREAD * around).astype(np.float32)
    return [GroupingFace(f"{index:06}", str(index), vector) for index, vector in enumerate(vectors)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def cost(count: int) -> dict[str, float]:
    """Group for the time, and again for the memory, which is slower to watch; to be called in a process of its own."""
    faces = library(count)
    began = time.process_time()
    group(faces, together=TOGETHER)
    spent = time.process_time() - began
    tracemalloc.start()
    groups = group(faces, together=TOGETHER)
    _, most = tracemalloc.get_traced_memory()
    return {"faces": count, "largest": max(map(len, groups)), "cpu_seconds": spent, "memory_bytes": most}


def main() -> None:
    """Measure, print and keep the figures."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as processes:
        figures = list(processes.map(cost, FACES))
    print(json.dumps(figures, indent=2))
    results = Path(__file__).resolve().parents[1] / "bench/results"
    results.mkdir(exist_ok=True)
    (results / "grouping.json").write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
