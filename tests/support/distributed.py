"""The distributed profile on loopback: real engines, every role a process of its own, any number of each."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.engines.elasticsearch import Elasticsearch
from support.engines.kafka import Kafka
from support.engines.postgres import Postgres
from support.engines.process import EngineProcess, answers, free_port
from support.engines.versitygw import Versitygw

BIN = Path(sys.executable).parent
BUCKET = "gallery"
TOKEN = "the-owner-of-a-gallery-under-test"  # noqa: S105  # opens nothing else
READY_WITHIN_SECONDS = 120

SERVING = ("upload", "metadata", "ml-worker", "search", "gateway")
CONSUMING = ("metadata", "ml-worker", "search")
RELAYED = ("upload", "metadata", "ml-worker", "search")


@dataclass
class Engines:
    """What the profile stands on. Each keeps its address when it is started again."""

    kafka: Kafka
    s3: Versitygw
    elasticsearch: Elasticsearch
    postgres: Postgres

    @classmethod
    def in_folder(cls, folder: Path) -> "Engines":
        """Name them; nothing runs yet."""
        return cls(
            Kafka(folder / "kafka"),
            Versitygw(folder / "s3"),
            Elasticsearch(folder / "elasticsearch"),
            Postgres(folder / "postgres"),
        )

    def by_name(self) -> dict[str, Kafka | Versitygw | Elasticsearch | Postgres]:
        """All of them."""
        return {"postgres": self.postgres, "kafka": self.kafka, "s3": self.s3, "elasticsearch": self.elasticsearch}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run all of them for the block's time."""
        with ExitStack() as stack:
            for engine in self.by_name().values():
                engine.start()
                stack.callback(engine.stop)
            s3 = self.s3.client()
            s3.create_bucket(Bucket=BUCKET)
            yield


class RoleProcess:
    """One role of one service."""

    def __init__(self, command: Sequence[str], number: int, *, folder: Path, environment: Mapping[str, str]) -> None:
        role = "-".join(command)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.name = f"{role}-{number}"
        given = {**environment, "GALLERY_PORT": str(self.port)}
        words = [str(BIN / f"gallery-{command[0]}"), *command[1:]]
        self._process = EngineProcess(words, log=folder / f"{self.name}.log", environment=given)
        self.start = self._process.start
        self.stop = self._process.stop
        self.kill = self._process.kill
        self.pause = self._process.pause
        self.resume = self._process.resume
        self.revive = self._process.revive

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until it says that it is."""
        self._process.wait_until(self.is_ready, within_seconds=READY_WITHIN_SECONDS)

    def is_ready(self) -> bool:
        """Whether it says so."""
        return answers(f"{self.url}/health/ready", within_seconds=2)


@dataclass
class Distributed:
    """Every process of a gallery, over engines that run.

    Attributes:
        processes: By name of the role, such as ``metadata-consume``; several of one role in a list.
    """

    folder: Path
    engines: Engines
    settings: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, list[RoleProcess]] = field(default_factory=dict)

    @property
    def gateway(self) -> str:
        """Address of the public API."""
        return self.processes["gateway-serve"][0].url

    @contextmanager
    def running(self, counts: Mapping[str, int] | None = None) -> Iterator["Distributed"]:
        """Run every role, once unless ``counts`` says otherwise, for the block's time."""
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._prepare()
        with ExitStack() as stack:
            for command in self._commands():
                name = "-".join(command)
                for _ in range((counts or {}).get(name, 1)):
                    self._start(command, stack)
            for each in self.all():
                each.wait_until_ready()
            yield self

    def all(self) -> list[RoleProcess]:
        """Every process."""
        return [each for several in self.processes.values() for each in several]

    @property
    def environment(self) -> dict[str, str]:
        """What every process is told."""
        return {
            "GALLERY_DATA": str(self.folder / "data"),
            "GALLERY_DATABASE_URL": self.engines.postgres.url,
            "GALLERY_BLOBS": "s3",
            "GALLERY_BUS": "kafka",
            "GALLERY_SEARCH_INDEX": "elasticsearch",
            "GALLERY_S3_ENDPOINT": self.engines.s3.url,
            "GALLERY_S3_PUBLIC_ENDPOINT": self.engines.s3.url,
            "GALLERY_S3_BUCKET": BUCKET,
            "GALLERY_S3_KEY_ID": self.engines.s3.key_id,
            "GALLERY_S3_SECRET": self.engines.s3.secret,
            "GALLERY_S3_PATH_STYLE": "true",
            "GALLERY_KAFKA_SERVERS": self.engines.kafka.servers,
            "GALLERY_ELASTIC_URL": self.engines.elasticsearch.url,
            "GALLERY_OWNER_TOKEN": TOKEN,
            "GALLERY_OFFLINE": "1",
            **self.settings,
        }

    def _prepare(self) -> None:
        for service in SERVING:
            self._once(f"gallery-{service}", "migrate")
        self._once("gallery", "topics", "apply")

    def _once(self, *command: str) -> None:
        environment = {**os.environ, **self.environment}
        subprocess.run([BIN / command[0], *command[1:]], env=environment, check=True, stdout=subprocess.DEVNULL)

    def _commands(self) -> Iterator[tuple[str, ...]]:
        """Neighbours before those who ask them."""
        yield from ((service, "serve") for service in SERVING)
        yield from ((service, "consume") for service in CONSUMING)
        yield from ((("ml-worker", "analyse"), ("ml-worker", "people")))
        yield from (("relay", service) for service in RELAYED)

    def _start(self, command: tuple[str, ...], stack: ExitStack) -> None:
        addresses = {
            f"GALLERY_{service.replace('-', '_').upper()}_URL": self.processes[f"{service}-serve"][0].url
            for service in SERVING[:-1]
            if f"{service}-serve" in self.processes
        }
        several = self.processes.setdefault("-".join(command), [])
        environment = {**self.environment, **addresses}
        process = RoleProcess(command, len(several), folder=self.folder / "logs", environment=environment)
        process.start()
        stack.callback(process.stop)
        several.append(process)


def main() -> None:
    """Run the distributed profile until Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="gallery-native-") as name:
        folder = Path(name)
        engines = Engines.in_folder(folder / "engines")
        with engines.running(), Distributed(folder, engines).running() as gallery:
            print(f"serving at {gallery.gateway}; logs in {folder}/logs; Ctrl-C stops and removes everything")  # noqa: T201
            print(f"try: GALLERY_TOKEN={TOKEN} .venv/bin/gallery --server {gallery.gateway} import PHOTOS")  # noqa: T201
            with suppress(KeyboardInterrupt):
                signal.pause()


if __name__ == "__main__":
    main()
