"""A real Elasticsearch on loopback: the small distribution that its makers publish for tests of integrations."""

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engines.process import EngineProcess, answers, fetched, free_port, tool

VERSION = "9.5.4"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"

OLDEST_JAVA = 21
STARTS_WITHIN_SECONDS = 300

USER_WHEN_ROOT = "nobody"
"""The server refuses to run as root."""

CONFIG = """\
cluster.name: gallery-test
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
path.data: {folder}/data
path.logs: {folder}/logs
xpack.security.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
"""

JVM = "-Xms512m\n-Xmx512m\n-XX:-AlwaysPreTouch\n"


class Elasticsearch:
    """One node with its folder and port, which it keeps over restarts; 600 MB of memory.

    Attributes:
        url: Where it listens.
    """

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        home = fetched(f"elasticsearch-{VERSION}", _download)
        _configure(folder, home, port)
        self._process = EngineProcess(
            [*_without_root(), "bash", str(home / "bin" / "elasticsearch")],
            log=folder / "console",
            environment={
                "ES_JAVA_HOME": str(_java()),
                "ES_PATH_CONF": str(folder / "config"),
                "ES_TMPDIR": str(folder / "tmp"),
                "HOME": str(folder / "tmp"),
                "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1",
            },
        )
        self.stop = self._process.stop
        self.kill = self._process.kill
        self.pause = self._process.pause
        self.resume = self._process.resume

    def start(self) -> None:
        """Start, or start again after a stop or kill; every shard answers when this returns (11 to 33 s)."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it and do not wait; call it from the thread that the server shall not outlive."""
        self._process.start()

    def wait(self) -> None:
        """Wait until every shard answers."""
        self._process.wait_until(self._healthy, within_seconds=STARTS_WITHIN_SECONDS)

    def _healthy(self) -> bool:
        return answers(f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=1s", within_seconds=3)


def _download(folder: Path) -> None:
    target = f"-DoutputDirectory={folder}"
    maven = tool("mvn", needed="to fetch Elasticsearch; it is Maven")
    subprocess.run([maven, "--batch-mode", "--quiet", COPY, f"-Dartifact={ARTIFACT}", target], check=True)
    archive = folder / f"elasticsearch-{VERSION}.zip"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    archive.unlink()
    for each in (folder / f"elasticsearch-{VERSION}").iterdir():
        each.rename(folder / each.name)


def _java() -> Path:
    """The home of the newest Java among those that the system has."""
    found: dict[int, Path] = {}
    for program in Path("/usr/lib/jvm").glob("*/bin/java"):
        told = subprocess.run([str(program), "-version"], check=True, capture_output=True, text=True).stderr
        if version := re.search(r'version "(\d+)', told):
            found[int(version[1])] = program.parents[1]
    newest = max(found, default=0)
    assert newest >= OLDEST_JAVA, f"Elasticsearch needs Java {OLDEST_JAVA} or newer below /usr/lib/jvm"
    return found[newest]


def _configure(folder: Path, home: Path, port: int) -> None:
    config = folder / "config"
    for each in (folder / "data", folder / "logs", folder / "tmp", config / "jvm.options.d"):
        each.mkdir(parents=True)
    for name in ("jvm.options", "log4j2.properties"):
        shutil.copy(home / "config" / name, config)
    (config / "elasticsearch.yml").write_text(CONFIG.format(port=port, transport=free_port(), folder=folder))
    (config / "jvm.options.d" / "memory.options").write_text(JVM)
    if os.geteuid() == 0:
        subprocess.run(["chown", "--recursive", USER_WHEN_ROOT, str(folder)], check=True)


def _without_root() -> list[str]:
    """Another user for the server, who may look through the closed folders above its own as root does."""
    if os.geteuid() != 0:
        return []
    user = ["--reuid", USER_WHEN_ROOT, "--regid", "nogroup", "--clear-groups"]
    # Java asks access(2), which forgets the right of others than root unless that is switched off.
    reach = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", "--securebits", "+no_setuid_fixup"]
    # Another user loses the word that the parent died; so it is given again.
    return ["setpriv", *user, *reach, "--pdeathsig", "TERM"]


@pytest.fixture(scope="session")
def elasticsearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elasticsearch]:
    """Serve one node for the whole run; a test that stops or kills it starts it again."""
    engine = Elasticsearch(tmp_path_factory.mktemp("elasticsearch"))
    engine.start()
    yield engine
    engine.stop()
