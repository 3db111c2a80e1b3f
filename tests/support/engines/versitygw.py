"""A real S3 server on loopback: versitygw, which keeps objects as files."""

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from support.engines.process import EngineProcess, answers, free_port
from support.go_tools import program
from support.tcp_faults import Cut, TcpFaults

from gallery.adapters.s3_bucket import S3Bucket
from gallery.adapters.s3_settings import S3Settings

PACKAGE = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
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
        versions = folder / "versions"
        for each in (self.data, versions):
            each.mkdir(parents=True)
        self._process = EngineProcess(
            [str(program(PACKAGE)), "posix", str(self.data)],
            log=folder / "log",
            environment={
                "ROOT_ACCESS_KEY_ID": self.key_id,
                "ROOT_SECRET_ACCESS_KEY": self.secret,
                "VGW_PORT": f"127.0.0.1:{self.port}",
                "VGW_REGION": self.region,
                "VGW_HEALTH": "/health",
                "VGW_VERSIONING_DIR": str(versions),
                "VGW_KEEP_ALIVE": "true",
                "VGW_QUIET": "true",
            },
        )
        self.stop = self._process.stop
        self.kill = self._process.kill
        self.pause = self._process.pause
        self.resume = self._process.resume

    def settings(self, *, port: int | None = None) -> S3Settings:
        """Return settings of a new, empty bucket, reached directly or by a proxy's port."""
        bucket = f"bucket-{uuid4().hex}"
        (self.data / bucket).mkdir()
        return S3Settings(
            s3_endpoint=f"http://127.0.0.1:{port or self.port}",
            s3_region=self.region,
            s3_bucket=bucket,
            s3_key_id=self.key_id,
            s3_secret=SecretStr(self.secret),
        )

    def client(self) -> Any:
        """Open a client of whoever may do everything."""
        import boto3  # half a second, which most who import this do without

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.secret,
        )

    def start(self) -> None:
        """Start, or start again after a stop or kill; it serves when this returns (0.2 s)."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start without waiting. It dies with the thread that did this."""
        self._process.start()

    def wait(self) -> None:
        """Wait until it serves."""
        self._process.wait_until(self._healthy, within_seconds=STARTS_WITHIN_SECONDS)

    def _healthy(self) -> bool:
        return answers(f"{self.url}/health", within_seconds=1)


@contextmanager
def running(engine: Versitygw) -> Iterator[Versitygw]:
    """Serve while the block is open."""
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    """Serve S3 for the whole run; a test that wants to stop or kill a server takes one of its own."""
    with running(Versitygw(tmp_path_factory.mktemp("versitygw"))) as engine:
        yield engine


@pytest.fixture
def s3_bucket(versitygw: Versitygw) -> Iterator[S3Bucket]:
    """Give a bucket that only this test uses."""
    with closing(S3Bucket(versitygw.settings())) as bucket:
        yield bucket


@pytest.fixture
def flaky_s3_bucket(versitygw: Versitygw) -> Iterator[S3Bucket]:
    """Give such a bucket behind a link that resets requests and ends answers before their time, again and again."""
    with TcpFaults(versitygw.port) as link, closing(S3Bucket(versitygw.settings(port=link.port))) as bucket:
        # No request of the tests is longer, so that each passes in the end.
        link.up.cut_after(300, again=itertools.repeat(9_500_000))
        link.down.cut_after(100, again=itertools.repeat(700_000))
        link.down.cut = Cut.HALF_CLOSE
        yield bucket
