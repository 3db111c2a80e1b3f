"""What the tools themselves make of the deployment: kustomize, Docker's reader of Compose files, the definitions of the
operators, and the environments that the Dockerfiles build. None of them needs a cluster or a container."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from support.deployment import ROOT, SERVICES, jobs, roles
from support.go_tools import COMPOSE, KUSTOMIZE, module, program
from support.kustomization import Manifest, build
from support.manifests import check_restricted, check_schema, containers, of_kind, pods

pytestmark = pytest.mark.engine

FOLDER = ROOT / "deploy/k8s"
DEFINITIONS = {
    "keda.sh": ("github.com/kedacore/keda/v2@v2.20.0", "config/crd/bases"),
    "postgresql.cnpg.io": ("github.com/cloudnative-pg/cloudnative-pg@v1.29.0", "config/crd/bases"),
    "elasticsearch.k8s.elastic.co": ("github.com/elastic/cloud-on-k8s/v2@v2.16.0", "config/crds/v1/resources"),
}
"""Strimzi is not among them: it is no Go module."""

IMPORT_EVERYTHING = """
import gallery, importlib, pkgutil
for module in pkgutil.walk_packages(gallery.__path__, "gallery."):
    if not any(word in module.name for word in ("embedded", "edge")):  # engines of the other profile
        importlib.import_module(module.name)
"""

overlays = pytest.mark.parametrize("overlay", ["dev", "production", "external"])


@cache
def kustomized(folder: Path) -> list[Manifest]:
    told = subprocess.run([program(KUSTOMIZE), "build", folder], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return list(yaml.safe_load_all(told.stdout))


@pytest.fixture
def manifests(overlay: str, tmp_path: Path) -> list[Manifest]:
    """What an overlay comes to; `external` is the production overlay with engines elsewhere, on GPUs."""
    if overlay != "external":
        return kustomized(FOLDER / "overlays" / overlay)
    shutil.copytree(FOLDER, tmp_path / "k8s")
    told = tmp_path / "k8s/overlays/production/kustomization.yaml"
    told.write_text(told.read_text().replace("engines-operated", "engines-external").replace("# - ..", "- .."))
    return kustomized(told.parent)


@overlays
def test_kustomize_makes_what_kubernetes_and_the_operators_understand(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        group = manifest["apiVersion"].partition("/")[0]
        if group in DEFINITIONS:
            check_definition(manifest)
        elif group != "kafka.strimzi.io":
            check_schema(manifest)


@overlays
def test_locks_up_every_pod_and_says_its_version(manifests: list[Manifest]) -> None:
    for pod in pods(manifests):
        check_restricted(pod)
        for container in containers(pod):
            assert re.search(r":[^/]+$", container["image"]), container["image"]


@overlays
def test_answers_to_the_name_of_the_way_in(overlay: str, manifests: list[Manifest]) -> None:
    (settings,) = of_kind(manifests, "ConfigMap").values()
    hosts = settings["data"]["GALLERY_HOSTS"].split(",")
    assert "localhost" in hosts
    for ingress in of_kind(manifests, "Ingress").values():
        assert ingress["spec"]["rules"][0]["host"] == ingress["spec"]["tls"][0]["hosts"][0] == hosts[0]
    assert ("Ingress" in {each["kind"] for each in manifests}) == (overlay != "dev")


@overlays
def test_leaves_the_number_of_scaled_processes_to_the_scaler(manifests: list[Manifest]) -> None:
    deployments = of_kind(manifests, "Deployment")
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(manifests, "ScaledObject").values()}
    assert {name for name, each in deployments.items() if "replicas" not in each["spec"]} == scaled


def test_kustomize_makes_the_same_of_the_base_as_the_quick_tests_do() -> None:
    def sorted_by_name(manifests: Iterable[Manifest]) -> dict[tuple[str, str], Manifest]:
        return {(each["kind"], each["metadata"]["name"]): in_order(each) for each in manifests}

    real = sorted_by_name(kustomized(FOLDER / "base"))
    settings = [key for key in real if key[0] == "ConfigMap"]
    assert len(settings) == 1, "made, not written"
    hashed = real.pop(settings[0])["metadata"]["name"]
    assert sorted_by_name(build(FOLDER / "base")) == {
        key: yaml.safe_load(yaml.safe_dump(each).replace(hashed, "settings")) for key, each in real.items()
    }


def in_order(value: Any) -> Any:
    """Sort lists whose elements have names, of which the order says nothing."""
    if isinstance(value, dict):
        return {key: in_order(each) for key, each in value.items()}
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return sorted((in_order(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


@pytest.mark.parametrize("files", [["docker-compose.yml"], ["docker-compose.yml", "docker-compose.gpu.yml"]])
def test_docker_can_read_the_compose_files(files: list[str]) -> None:
    assert subprocess.run([program(COMPOSE), *files], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_docker_would_not_read_just_anything(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text("services: {one: {image: busybox, imagine: that}}")
    told = subprocess.run([program(COMPOSE), "docker-compose.yml"], cwd=tmp_path, capture_output=True, check=False)
    assert told.returncode != 0


@pytest.mark.parametrize(
    ("requirements", "members"),
    [("service", [each for each in SERVICES if each != "ml-worker"]), ("ml-worker", ["ml-worker"])],
)
def test_an_environment_has_all_that_its_programs_need(requirements: str, members: list[str], tmp_path: Path) -> None:
    build_script = ROOT / "deploy/docker/build.sh"
    environment = {**os.environ, "TOOLS": str(tmp_path / "tools"), "APP": str(tmp_path / "app")}
    environment["PATH"] = f"{Path(sys.base_prefix) / 'bin'}:{environment['PATH']}"
    folders = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "libs").iterdir())]
    folders += [f"services/{member}" for member in members]
    for step in (["requirements", requirements], ["members", *folders]):
        subprocess.run([build_script, *step], cwd=ROOT, env=environment, check=True)
    for name in ("gallery-relay", "gallery-topics", *(f"gallery-{member}" for member in members)):
        told = subprocess.run(
            [tmp_path / "app/bin" / name, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False, env={}
        )
        assert told.returncode == 0, told.stderr
        assert all(word in told.stdout for word in roles(name) | jobs(name))
    subprocess.run([tmp_path / "app/bin/python", "-c", IMPORT_EVERYTHING], cwd=tmp_path, check=True)


def check_definition(manifest: Manifest) -> None:
    """Hold a custom resource against its definition, as an API server does, but without passing over unknown fields."""
    group, version = manifest["apiVersion"].split("/")
    served = definitions(group)[manifest["kind"]]["spec"]["versions"]
    (schema,) = [each["schema"]["openAPIV3Schema"] for each in served if each["name"] == version]
    jsonschema.validate(manifest["spec"], closed(schema["properties"]["spec"]))


@cache
def definitions(group: str) -> dict[str, Manifest]:
    """The definitions of an operator's resources, by kind."""
    name, folder = DEFINITIONS[group]
    files = sorted((module(name, folder) / folder).glob(f"{group}_*.yaml"))
    read = [yaml.load(file.read_text(), yaml.CSafeLoader) for file in files]  # the safe one, in C
    return {each["spec"]["names"]["kind"]: each for each in read}


def closed(schema: Any) -> Any:
    """Turn a structural schema into one that refuses unknown fields and knows numbers that may be words."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {key: closed(each) for key, each in schema.items()}
    if told.pop("x-kubernetes-int-or-string", False):
        return {"type": ["integer", "string"]}
    if told.get("nullable") is True:
        told["type"] = [told["type"], "null"]
    if isinstance(told.get("properties"), dict) and not told.get("x-kubernetes-preserve-unknown-fields"):
        told.setdefault("additionalProperties", False)
    return told
