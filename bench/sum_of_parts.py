"""The plain way to do the same work: Pillow and onnxruntime in a loop, nothing around them.

What the pipeline is measured against: decode in full, turn upright, preview and thumbnail, faces at 640 and 160, one
vector for each face, tags. No queue, no database, nothing durable.
"""

import hashlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]

FACE_SCORE = 0.5


@dataclass(frozen=True)
class Cost:
    """Of all photos together, seconds."""

    wall: float
    cpu: float


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Parts:
    """The models, loaded once."""

    def __init__(self, models: Path) -> None:
        self._detector = _session(models / "scrfd_2.5g_kps.onnx")
        self._embedder = _session(models / "edgeface_xs.onnx")
        self._tagger = _session(models / "mobilenet_v2_1.0_224_quant.onnx")

    def process(self, path: Path) -> int:
        """Do one photo; returns how many faces it has."""
        content = path.read_bytes()
        hashlib.sha256(content).digest()
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
        upright.thumbnail((1440, 1440))
        upright.save(io.BytesIO(), "JPEG", quality=82)
        small = upright.copy()
        small.thumbnail((320, 320))
        small.save(io.BytesIO(), "JPEG", quality=82)
        pixels = np.asarray(upright)
        faces = max(self._detect(pixels, side) for side in (640, 160))
        crop = cv2.resize(pixels[:112, :112], (112, 112))
        for _ in range(faces):
            self._embedder.run(None, {"input": ((crop.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]})
        name = self._tagger.get_inputs()[0].name
        self._tagger.run(None, {name: cv2.resize(pixels, (224, 224))[None]})
        return faces

    def _detect(self, pixels: Pixels, side: int) -> int:
        scale = side / max(pixels.shape[:2])
        resized = cv2.resize(pixels, None, fx=scale, fy=scale)
        canvas = np.zeros((side, side, 3), np.float32)
        canvas[: resized.shape[0], : resized.shape[1]] = resized
        blob = ((canvas - 127.5) / 128).transpose(2, 0, 1)[None]
        outputs = self._detector.run(None, {self._detector.get_inputs()[0].name: blob})
        scores = np.concatenate([part.ravel() for part in outputs if part.shape[-1] == 1])
        return min(int((scores > FACE_SCORE).sum()), 1)


def measure(photos: Sequence[Path], models: Path) -> Cost:
    """Do all photos one after the other."""
    cv2.setNumThreads(1)
    parts = Parts(models)
    parts.process(photos[0])
    wall, cpu = time.perf_counter(), time.process_time()
    for photo in photos:
        parts.process(photo)
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)
