"""docker-compose.yml against the code that it runs and against itself; no engine is needed to see that it fits."""

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.deployment import ENGINES, ROOT, STOPS_WITHIN_SECONDS, askers, check_settings, needs, processes

COMPOSE = yaml.safe_load(
    re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "docker-compose.yml").read_text())  # as with an empty environment
)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
JOBS = {name: service for name, service in SERVICES.items() if service["restart"].startswith("on-failure")}
RUNNING = {name: service for name, service in SERVICES.items() if name not in JOBS}
GPU = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())["services"]

each = pytest.mark.parametrize("name", SERVICES)
each_of_ours = pytest.mark.parametrize("name", OURS)
each_running = pytest.mark.parametrize("name", RUNNING)


def networks(name: str) -> set[str]:
    return set(SERVICES[name].get("networks", []))


def test_runs_every_role_once_and_nothing_else() -> None:
    assert sorted(tuple(service["command"]) for service in OURS.values()) == sorted(processes())


@each_of_ours
def test_gives_a_process_settings_that_it_can_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_settings(OURS[name]["environment"], secrets=tmp_path, environment=monkeypatch)


@pytest.mark.parametrize("name", GPU)
def test_changes_for_a_gpu_only_what_there_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merged = SERVICES[name]["environment"] | GPU[name]["environment"]
    check_settings(merged, secrets=tmp_path, environment=monkeypatch)


@each_of_ours
def test_lets_a_process_reach_the_engines_that_it_needs_and_no_others(name: str) -> None:
    assert networks(name) & ENGINES == needs(OURS[name]["command"]).engines


@each_of_ours
def test_lets_services_reach_each_other_where_they_ask(name: str) -> None:
    command = OURS[name]["command"]
    asks = needs(command).services
    is_asked = command[1] == "serve" and any(askers(name))
    assert ("services" in networks(name)) == bool(asks or is_asked)
    for asked in asks:
        assert OURS[name]["environment"][f"GALLERY_{asked.upper().replace('-', '_')}_URL"] == f"http://{asked}:8000"


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_keeps_an_engine_in_a_network_of_its_own_without_a_way_out(engine: str) -> None:
    assert networks(engine) == {engine}
    assert COMPOSE["networks"][engine] == {"internal": True}


def test_publishes_the_gateway_only_and_on_this_machine_only() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:8420:8000"]}


@each
def test_limits_processor_and_memory(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"[0-9]+[MG]", limits["memory"])


@each_running
def test_knows_whether_what_runs_is_well_and_starts_it_again(name: str) -> None:
    service = RUNNING[name]
    assert service["restart"] == "unless-stopped"
    if name not in OURS:  # ours say so in their images
        assert service["healthcheck"]["test"][0] == "CMD"


@each
def test_waits_for_what_can_come_true(name: str) -> None:
    for awaited, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if awaited in JOBS else "service_healthy"
        assert how["condition"] == expected, awaited


@pytest.mark.parametrize("name", JOBS)
def test_has_somebody_wait_for_each_job(name: str) -> None:
    """Else `up --wait` takes one that has ended for a failure."""
    assert any(name in service.get("depends_on", {}) for service in SERVICES.values())


@each_of_ours
def test_migrates_before_a_process_starts(name: str) -> None:
    """A schema that is older than the program is refused; so is a topic that is missing."""
    awaited = SERVICES[name].get("depends_on", {}).keys()
    if name in RUNNING:
        program, role = OURS[name]["command"]
        service = role if program == "gallery-relay" else program.removeprefix("gallery-")
        assert f"{service}-migrate" in awaited
        assert ("topics" in awaited) == ("kafka" in networks(name))


@each_of_ours
def test_locks_a_process_up(name: str) -> None:
    service = OURS[name]
    assert service["read_only"]
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - of the container
    assert service["cap_drop"] == ["ALL"]
    assert not {"privileged", "cap_add", "user", "pid", "ipc"} & service.keys()


@each
def test_lets_nobody_gain_privileges(name: str) -> None:
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS.keys() & RUNNING.keys())
def test_gives_a_process_the_time_to_stop_in_order(name: str) -> None:
    assert int(OURS[name]["stop_grace_period"].removesuffix("s")) > STOPS_WITHIN_SECONDS


@each_of_ours
def test_hands_a_process_its_own_secrets_and_no_others(name: str) -> None:
    read = {Path(value).name for value in OURS[name]["environment"].values() if str(value).startswith("/run/secrets/")}
    assert read == set(OURS[name].get("secrets", []))


def test_makes_every_secret_that_is_named(tmp_path: Path) -> None:
    secrets = _make_secrets(tmp_path / "secrets")
    assert {Path(secret["file"]) for secret in COMPOSE["secrets"].values()} == {
        Path("deploy/docker/secrets") / name for name in secrets
    }
    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert used == COMPOSE["secrets"].keys() == secrets.keys()
    assert len(set(secrets.values())) == len(secrets), "each is drawn anew"


def test_keeps_secrets_that_are_there_already(tmp_path: Path) -> None:
    first = _make_secrets(tmp_path)
    (tmp_path / "owner_token").unlink()
    second = _make_secrets(tmp_path)
    assert {name for name in first if first[name] != second[name]} == {"owner_token"}


def test_lets_containers_of_any_user_read_secrets_and_nobody_else_on_the_machine(tmp_path: Path) -> None:
    """Compose mounts the files as they are: their modes count inside, that of their folder only outside."""
    folder = tmp_path / "secrets"
    _make_secrets(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o444}


def test_keeps_secrets_out_of_the_repository() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "--quiet", "deploy/docker/secrets/owner_token"], cwd=ROOT, check=False
    )
    assert ignored.returncode == 0


@each
def test_pins_images(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert tag
    assert tag != "latest"


def test_declares_the_volumes_and_networks_that_are_used() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", []) if isinstance(mount, str)]
    assert {mount.partition(":")[0] for mount in mounts if not mount.startswith(".")} == COMPOSE["volumes"].keys()
    assert {network for name in SERVICES for network in networks(name)} == COMPOSE["networks"].keys()
    for mount in mounts:
        if mount.startswith("."):
            assert (ROOT / mount.partition(":")[0]).exists()


def _make_secrets(folder: Path) -> dict[str, str]:
    subprocess.run([sys.executable, ROOT / "deploy/docker/make_secrets.py", folder], check=True)
    return {file.name: file.read_text() for file in folder.iterdir()}
