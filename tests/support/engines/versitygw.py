"""A real S3 server on loopback: versitygw, which keeps objects as files."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from support.engines.process import EngineProcess, fetched, free_port

VERSION = "v1.8.0"
STARTS_WITHIN_SECONDS = 20


class Versitygw:
    """One server with its folder and port, which it keeps over restarts.

    Attributes:
        url: Where it listens.
        data: Each folder in it is a bucket, each file an object.
    """

    region = "us-east-1"
    key_id = "devroot"
    secret = "devroot-secret"  # noqa: S105 - for loopback

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        self._process = EngineProcess(
            [str(_binary()), "posix", str(self.data)],
            log=folder / "log",
            environment={
                "ROOT_ACCESS_KEY_ID": self.key_id,
                "ROOT_SECRET_ACCESS_KEY": self.secret,
                "VGW_PORT": f"127.0.0.1:{self.port}",
                "VGW_REGION": self.region,
                "VGW_HEALTH": "/health",
                "VGW_KEEP_ALIVE": "true",
                "VGW_QUIET": "true",
            },
        )
        self.stop = self._process.stop
        self.kill = self._process.kill
        self.pause = self._process.pause
        self.resume = self._process.resume

    def start(self) -> None:
        """Start, or start again after a stop or kill; it serves when this returns (0.2 s)."""
        self._process.start()
        self._process.wait_until(self._healthy, within_seconds=STARTS_WITHIN_SECONDS)

    def _healthy(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health", timeout=1).is_success
        return False


def _binary() -> Path:
    return fetched(f"versitygw-{VERSION}", _build) / "versitygw"


def _build(folder: Path) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder)}
    package = f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"
    subprocess.run(["go", "install", package], env=environment, check=True)


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    """Serve S3 for the whole run; a test that stops or kills it starts it again."""
    engine = Versitygw(tmp_path_factory.mktemp("versitygw"))
    engine.start()
    yield engine
    engine.stop()
