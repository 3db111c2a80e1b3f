"""A real Kafka on loopback: one node, broker and controller in one, from the artefacts that Maven Central has."""

import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.engines.process import EngineProcess, fetched, free_port, tool
from support.tls import Certificate

VERSION = "4.3.1"
LOG4J_VERSION = "2.25.4"
STARTS_WITHIN_SECONDS = 60
CLUSTER_ID = "5KhDRMhAQc2gnAqO_RxEtw"

_POM = f"""
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>gallery.test</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

_LOGGING = """
<Configuration status="WARN">
  <Appenders><Console name="c"><PatternLayout pattern="%d %p %c{1} %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="c"/></Root><Logger name="kafka.server" level="INFO"/></Loggers>
</Configuration>
"""

# One node keeps everything once. The broker's session is short, so that it serves 4 s after a kill instead of 13;
# members may have short sessions, too, so that tests need not wait for long ones; small segments keep files small.
_SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=2
background.threads=2
log.segment.bytes=16777216
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=2097152
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=300
"""


_SECURE = """
listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={keystore}
listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_{user}="{password}";
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


class Kafka:
    """One broker with its folder and port, which it keeps over restarts.

    Attributes:
        port: Of its listener.
        servers: What a client is told.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.servers = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._formatting: tuple[str, ...] = ()
        folder.mkdir(parents=True, exist_ok=True)
        self._controller = free_port()
        self.advertise(self.port)
        (folder / "log4j2.xml").write_text(_LOGGING)
        self._process = EngineProcess(self._java("-Xmx512m", "kafka.Kafka"), log=folder / "log")
        self.stop = self._process.stop
        self.kill = self._process.kill
        self.pause = self._process.pause
        self.resume = self._process.resume

    def advertise(self, port: int) -> None:
        """From its next start on, send clients to this port, such as a proxy's."""
        settings = _SETTINGS.format(
            port=self.port, advertised=port, controller=self._controller, data=self._folder / "data"
        )
        (self._folder / "server.properties").write_text(settings)

    def start(self) -> None:
        """Start, or start again after a stop or kill; it serves when this returns (2 to 5 s)."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start without waiting. It dies with the thread that did this."""
        if not (self._folder / "data" / "meta.properties").exists():
            format_it = ("kafka.tools.StorageTool", "format", *self._formatting, "-t", CLUSTER_ID, "-c")
            command = self._java("-Xmx64m", *format_it)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        self._process.start()

    def wait(self) -> None:
        """Wait until it serves; in another thread, where a loop must go on."""
        self._process.wait_until(self._serves, within_seconds=STARTS_WITHIN_SECONDS)

    def _java(self, memory: str, *words: str) -> list[str]:
        lean = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={self._folder}/log4j2.xml"]
        java = tool("java", needed="to run Kafka")
        return [java, memory, *lean, "-cp", f"{_libraries()}/*", *words, str(self._folder / "server.properties")]

    def _serves(self) -> bool:
        """Whether it answers ApiVersions, which it does only when it serves requests."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
            client.settimeout(2)
            request = struct.pack(">hhih", 18, 0, 1, len(b"probe")) + b"probe"
            client.sendall(struct.pack(">i", len(request)) + request)
            return len(client.recv(64)) > struct.calcsize(">ii")
        return False


class SecureKafka(Kafka):
    """One that listens on another port, too, by TLS and to those who log in, by PLAIN or SCRAM-SHA-512.

    Attributes:
        secure_servers: What a client is told.
        shown: The certificate.
    """

    user = "gallery"
    password = "gallery-secret"  # noqa: S105 - for loopback

    def __init__(self, folder: Path, shown: Certificate) -> None:
        super().__init__(folder)
        self.shown = shown
        port = free_port()
        self.secure_servers = f"127.0.0.1:{port}"
        self._formatting = ("--add-scram", f"SCRAM-SHA-512=[name={self.user},password={self.password}]")
        more = _SECURE.format(
            port=self.port,
            secure=port,
            controller=self._controller,
            keystore=shown.both,
            user=self.user,
            password=self.password,
        )
        with (folder / "server.properties").open("a") as settings:
            settings.write(more)


def _libraries() -> Path:
    return fetched(f"kafka-{VERSION}", _fetch)


def _fetch(folder: Path) -> None:
    maven = tool("mvn", needed="to fetch Kafka; it is Maven")
    (folder / "pom.xml").write_text(_POM)
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    subprocess.run(
        [maven, "-B", "-q", "-f", folder / "pom.xml", goal, "-DincludeScope=runtime", f"-DoutputDirectory={folder}"],
        check=True,
    )


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Serve Kafka for the whole run; a test that stops or kills it starts it again."""
    engine = Kafka(tmp_path_factory.mktemp("kafka"))
    engine.start()
    yield engine
    engine.stop()
