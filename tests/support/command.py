"""The gallery as its users meet it: the command, its exit codes and its JSON."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).parent / "gallery"


@dataclass(frozen=True)
class Gallery:
    """One gallery on a data folder of its own."""

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    patience_seconds: int = 300
    """For one command; the slowest of the daily run takes some twenty."""
    server: str | None = None
    """Address of a gallery that runs elsewhere; without it, commands find or start one on the data folder."""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GALLERY_")}
        ours = {"GALLERY_DATA": str(self.data), "GALLERY_OFFLINE": "1"}
        return {**kept, **ours, **self.settings}

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._words(arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=self.patience_seconds,
            check=False,
        )

    def _words(self, arguments: Sequence[str | Path]) -> list[str]:
        return [str(COMMAND), *(["--server", self.server] if self.server else []), *map(str, arguments)]

    def json(self, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
        answer = self.call(*arguments, "--json")
        assert answer.returncode == code, (
            f"{arguments}: exit {answer.returncode}\n{answer.stdout}\n{answer.stderr[-4000:]}"
        )
        document: dict[str, Any] = json.loads(answer.stdout)
        return document

    def address(self) -> dict[str, Any]:
        """Where it answers, and the id of its first process, while it runs."""
        told: dict[str, Any] = json.loads((self.data / "gallery.json").read_text())
        return told

    @contextmanager
    def begun(self, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the block; what it says on standard error can be read."""
        with subprocess.Popen(
            self._words(arguments),
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen[str]]:
        """Serve for the block's time; stopped politely at its end."""
        with (self.data.parent / f"{self.data.name}.log").open("a") as log:
            process = subprocess.Popen(
                [COMMAND, "up", "--port", "0"], env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
            try:
                assert process.stdout is not None
                first = process.stdout.readline()
                assert "http://" in first, f"did not start: {first!r}, see {log.name}"
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                assert process.stdout is not None
                process.stdout.close()


def packs(shared: Path, *, faces: str = "scrfd-edgeface", tags: str | None = "mobilenet-v2") -> dict[str, str]:
    """Settings that choose the test packs."""
    chosen = {"GALLERY_PACKS_PATH": str(shared / "models"), "GALLERY_FACE_PACK": faces}
    chosen["GALLERY_ACCEPT_LICENCES"] = "non-commercial"
    return chosen | ({"GALLERY_TAG_PACK": tags} if tags else {})
