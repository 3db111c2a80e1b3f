"""The manifests of Kubernetes against the code that they run and against themselves; no cluster is needed for that."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import psycopg
import pytest
from support.deployment import (
    BEFORE_THE_START,
    ENGINES,
    PROGRAMS,
    ROOT,
    STOPS_WITHIN_SECONDS,
    Command,
    askers,
    check_settings,
    jobs,
    needs,
    processes,
)
from support.kustomization import Manifest, build, kustomization, manifests, referenced
from support.manifests import check_restricted, check_schema, of_kind, pods, selects

from gallery.events.topics import CATALOGUE
from gallery.ml_worker.main import SERVICE
from gallery.ml_worker.store import ANALYSE
from gallery.runtime.migrations import migrate

FOLDER = ROOT / "deploy/k8s"
BASE = build(FOLDER / "base")
DEPLOYMENTS = of_kind(BASE, "Deployment")
JOBS = of_kind(BASE, "Job")
WORKLOADS = DEPLOYMENTS | JOBS
FOLDERS = [file.parent for file in FOLDER.rglob("kustomization.yaml")]
FILES = sorted(FOLDER.rglob("*.yaml"))
PATCHES = {patch["path"] for folder in FOLDERS for patch in kustomization(folder).get("patches", []) if "path" in patch}
WHOLE = [
    pytest.param(manifest, id=f"{file.stem}-{manifest['kind']}-{manifest['metadata']['name']}")
    for file in FILES
    if file.name != "kustomization.yaml" and file.name not in PATCHES and file.parent.name != "base"
    for manifest in manifests(file)
]
OPERATED = {"keda.sh", "postgresql.cnpg.io", "kafka.strimzi.io", "elasticsearch.k8s.elastic.co"}
"""Whose custom resources there are; `test_real_tools.py` holds them against their definitions."""

each_deployment = pytest.mark.parametrize("name", DEPLOYMENTS)
each_workload = pytest.mark.parametrize("name", WORKLOADS)


def named(folder: Path) -> str:
    return folder.relative_to(FOLDER).as_posix()


def container(name: str) -> Manifest:
    (only,) = WORKLOADS[name]["spec"]["template"]["spec"]["containers"]
    found: Manifest = only
    return found


def command(name: str) -> Command:
    program, role = container(name)["command"]
    return program, role


def labels(name: str) -> Manifest:
    found: Manifest = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
    return found


def secret(name: str) -> str:
    """The Secret of a workload; each service has its own."""
    (found,) = [
        each["secret"]["secretName"]
        for each in WORKLOADS[name]["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "secrets"
    ]
    assert found == labels(name)["app.kubernetes.io/name"]
    told: str = found
    return told


def commands_with(selector: Manifest) -> set[Command]:
    return {command(name) for name in WORKLOADS if selects(selector, labels(name))}


def settings_of_all() -> dict[str, str]:
    lines = (FOLDER / "base/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_names_files_that_are_there(folder: Path) -> None:
    for path in referenced(folder):
        assert path.exists(), path


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_leaves_no_file_unused(folder: Path) -> None:
    used = {path.resolve() for path in referenced(folder)} | {folder / "kustomization.yaml"}
    assert {path for path in folder.iterdir() if path.is_file()} == {path for path in used if path.is_file()}


def test_runs_every_role_once_and_nothing_else() -> None:
    assert sorted(command(name) for name in WORKLOADS) == sorted(processes())


@pytest.mark.parametrize("manifest", BASE, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_says_what_kubernetes_understands(manifest: Manifest) -> None:
    check_schema(manifest)


@pytest.mark.parametrize("manifest", WHOLE)
def test_says_what_kubernetes_or_an_operator_understands(manifest: Manifest) -> None:
    if manifest["apiVersion"].partition("/")[0] not in OPERATED:
        check_schema(manifest)


def test_has_a_schema_that_refuses_what_is_not_known() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        check_schema({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}})


@each_workload
def test_gives_a_process_settings_that_it_can_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {variable["name"]: variable["value"] for variable in container(name).get("env", [])}
    check_settings(settings_of_all() | own, secrets=tmp_path, environment=monkeypatch)


@pytest.mark.parametrize("folder", [each for each in FOLDERS if "configMapGenerator" in kustomization(each)], ids=named)
def test_adds_settings_that_processes_can_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for generator in kustomization(folder)["configMapGenerator"]:
        lines = [*generator.get("literals", [])]
        for file in generator.get("envs", []):
            lines += [line for line in (folder / file).read_text().splitlines() if line and not line.startswith("#")]
        check_settings(dict(line.split("=", 1) for line in lines), secrets=tmp_path, environment=monkeypatch)


@each_workload
def test_locks_a_process_up(name: str) -> None:
    check_restricted(WORKLOADS[name]["spec"]["template"])


def test_has_the_cluster_refuse_what_is_not_locked_up() -> None:
    (namespace,) = of_kind(BASE, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("file", [file for file in FILES if file.name not in PATCHES], ids=lambda file: file.stem)
def test_locks_engines_up_that_no_operator_keeps(file: Path) -> None:
    if file.parent.name != "base":
        for pod in pods(manifests(file)):
            check_restricted(pod)


@each_deployment
def test_asks_whether_a_process_has_started_serves_and_lives(name: str) -> None:
    asked = container(name)
    assert asked["ports"] == [{"name": "http", "containerPort": 8000}]
    assert asked["startupProbe"]["httpGet"]["path"] == "/health/live"
    assert asked["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert asked["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert asked[probe]["httpGet"]["port"] == "http"
        (host,) = asked[probe]["httpGet"]["httpHeaders"]
        assert host == {"name": "Host", "value": "localhost"}


def test_lets_probes_into_every_gateway() -> None:
    """It answers to its names only, and probes call it localhost."""
    hosts = [settings_of_all()["GALLERY_HOSTS"], _production()["GALLERY_HOSTS"]]
    assert all("localhost" in host.split(",") for host in hosts)


@each_deployment
def test_gives_a_process_the_time_to_stop_in_order(name: str) -> None:
    pause = container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert DEPLOYMENTS[name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > pause + STOPS_WITHIN_SECONDS


@each_deployment
def test_asks_for_what_a_process_uses_and_limits_its_memory(name: str) -> None:
    resources = container(name)["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert "memory" in resources["limits"]


@each_deployment
def test_spreads_each_deployment_by_itself(name: str) -> None:
    spread = DEPLOYMENTS[name]["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for each in spread:
        assert selects(each["labelSelector"], labels(name))
        assert {"app.kubernetes.io/name", "app.kubernetes.io/component"} <= set(each["matchLabelKeys"])


@each_deployment
def test_lets_people_go_before_backfill(name: str) -> None:
    priorities = of_kind(BASE, "PriorityClass")
    chosen = DEPLOYMENTS[name]["spec"]["template"]["spec"]["priorityClassName"]
    assert (chosen == "smart-gallery-backfill") == (command(name)[1] == ANALYSE)
    assert priorities["smart-gallery-interactive"]["value"] > priorities["smart-gallery-backfill"]["value"]


@each_deployment
def test_never_runs_two_relays_of_one_outbox(name: str) -> None:
    spec = DEPLOYMENTS[name]["spec"]
    if command(name)[0] == "gallery-relay":
        assert spec["replicas"] == 1
        assert spec["strategy"] == {"type": "Recreate"}
    else:
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@each_deployment
def test_selects_the_pods_that_it_makes_and_no_others(name: str) -> None:
    selector = DEPLOYMENTS[name]["spec"]["selector"]
    assert [other for other in WORKLOADS if selects(selector, labels(other))] == [name]


@each_deployment
def test_keeps_all_but_one_while_nodes_are_drained(name: str) -> None:
    budget = of_kind(BASE, "PodDisruptionBudget")[name]["spec"]
    assert budget == {"maxUnavailable": 1, "selector": DEPLOYMENTS[name]["spec"]["selector"]}


@pytest.mark.parametrize("name", of_kind(BASE, "Service"))
def test_leads_to_those_who_serve(name: str) -> None:
    service = of_kind(BASE, "Service")[name]["spec"]
    assert commands_with({"matchLabels": service["selector"]}) == {(f"gallery-{name}", "serve")}
    assert service["ports"] == [{"name": "http", "port": 8000, "targetPort": "http"}]


def test_leads_to_every_service_that_is_asked() -> None:
    asked = {service for name in WORKLOADS for service in needs(command(name)).services}
    assert of_kind(BASE, "Service").keys() == {*asked, "gateway"}


@each_workload
def test_lets_a_process_reach_the_engines_that_it_needs_and_no_others(name: str) -> None:
    reached = {engine for engine in ENGINES if labels(name).get(f"smart-gallery/{engine}") == "client"}
    assert reached == needs(command(name)).engines


@pytest.mark.parametrize("folder", ["engines-operated", "engines-external"])
def test_opens_the_way_to_each_engine(folder: str) -> None:
    policies = [*manifests(FOLDER / "components" / folder / "network.yaml"), *manifests(FOLDER / "base/network.yaml")]
    opened = {
        name.partition("/")[2]
        for policy in policies
        if policy["metadata"].get("namespace", "smart-gallery") == "smart-gallery" and "egress" in policy["spec"]
        for name in policy["spec"]["podSelector"].get("matchLabels", {})
    }
    assert opened == ENGINES


def test_denies_whatever_is_not_said() -> None:
    deny = of_kind(BASE, "NetworkPolicy")["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@each_workload
def test_lets_services_be_asked_by_those_who_ask_and_nobody_else(name: str) -> None:
    """Both ends have to agree: the caller's way out and the way into the one who is asked."""
    own, policies = labels(name), of_kind(BASE, "NetworkPolicy").values()
    service, role = own["app.kubernetes.io/name"], own["app.kubernetes.io/component"]
    out = {
        asked
        for policy in policies
        if policy["metadata"]["name"].endswith("-asks") and selects(policy["spec"]["podSelector"], own)
        for rule in policy["spec"]["egress"]
        for to in rule["to"]
        for asked in commands_with(to["podSelector"])
    }
    assert out == {(f"gallery-{asked}", "serve") for asked in needs(command(name)).services}
    into = {
        asker
        for policy in policies
        if policy["metadata"]["name"].endswith("-is-asked") and selects(policy["spec"]["podSelector"], own)
        for rule in policy["spec"]["ingress"]
        for by in rule["from"]
        for asker in commands_with(by["podSelector"])
    }
    assert into == (set(askers(service)) if role == "serve" else set())


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_has_no_policy_for_pods_that_nobody_makes(file: Path) -> None:
    policies = of_kind(manifests(file), "NetworkPolicy").values() if file.name != "kustomization.yaml" else ()
    for policy in policies:
        if policy["metadata"].get("namespace", "smart-gallery") == "smart-gallery":
            assert commands_with(policy["spec"]["podSelector"]), policy["metadata"]["name"]


@each_workload
def test_mounts_the_secrets_that_a_process_reads(name: str) -> None:
    """The Secrets of the overlay for one machine are whole, so they show what has to be in others'."""
    generated = {each["name"]: each["literals"] for each in kustomization(FOLDER / "overlays/dev")["secretGenerator"]}
    read = {variable["value"] for variable in container(name).get("env", []) if variable["name"].endswith("_FILE")}
    mounted = {each["mountPath"] for each in container(name)["volumeMounts"] if each["name"] == "secrets"}
    assert mounted == ({"/secrets"} if read or "kafka" in needs(command(name)).engines else set())
    for path in read:
        assert path.removeprefix("/secrets/") in {literal.partition("=")[0] for literal in generated[secret(name)]}


@each_workload
def test_can_log_in_to_kafka_by_what_the_documentation_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings are everybody's; whoever speaks to Kafka finds the files that they name among its own secrets."""
    told = (ROOT / "docs/operations.md").read_text()
    login = dict(re.findall(r"^(GALLERY_KAFKA_\w+)=(.+)$", told, re.MULTILINE))
    secrets = {value.removeprefix("/secrets/") for value in login.values() if value.startswith("/secrets/")}
    assert secrets == {"kafka_ca", "kafka_user", "kafka_password"}
    check_settings(settings_of_all() | login, secrets=tmp_path, environment=monkeypatch)
    if "kafka" in needs(command(name)).engines:
        (row,) = re.findall(rf"^\| `{secret(name)}` \|.*$", told, re.MULTILINE)
        assert "login to Kafka" in row


def test_tells_who_runs_it_which_secrets_there_are() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    for secret in kustomization(FOLDER / "overlays/dev")["secretGenerator"]:
        (row,) = re.findall(rf"^\| `{secret['name']}` \|.*$", text, re.MULTILINE)
        for literal in secret["literals"]:
            assert f"`{literal.partition('=')[0]}`" in row


def test_tells_who_runs_it_what_is_done_by_hand() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    for program in PROGRAMS:
        for job in jobs(program) - BEFORE_THE_START:
            assert f"{program} {job}" in text


def test_has_an_image_for_every_process() -> None:
    for name in WORKLOADS:
        repository, _, member = container(name)["image"].partition("/")
        assert repository == "smart-gallery"
        assert (ROOT / "services" / member).is_dir()
        assert member == (labels(name)["app.kubernetes.io/name"] if name != "topics" else "upload")


@pytest.mark.parametrize("overlay", ["dev", "production"])
def test_says_which_version_runs(overlay: str) -> None:
    tagged = {each["name"] for each in kustomization(FOLDER / "overlays" / overlay)["images"] if each["newTag"]}
    assert tagged >= {container(name)["image"] for name in WORKLOADS}


async def test_scales_by_work_that_is_really_due(database_url: str) -> None:
    authentication, scaled = manifests(FOLDER / "components/scaling/analyse.yaml")
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    (parameter,) = authentication["spec"]["secretTargetRef"]
    assert parameter == {"parameter": "connection", "name": "ml-worker", "key": "database_url"}

    await migrate(database_url, schema=SERVICE, packages=["gallery.ml_worker"])
    add = """INSERT INTO ml_worker.work (library_id, subject, stage, lane, not_before)
        VALUES (uuidv7(), uuidv7(), %s, 'backfill', now() + %s * interval '1 hour')"""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        for stage, hours in ((ANALYSE, -1), (ANALYSE, -1), (ANALYSE, 1), ("people", -1)):
            await connection.execute(add, [stage, hours])
        (count,) = await (await connection.execute(trigger["metadata"]["query"].encode())).fetchone() or (None,)
    assert count == len(["due", "due"])


SCALED = {
    each["metadata"]["name"]: each["spec"]
    for name in ("analyse.yaml", "consumers.yaml")
    for each in manifests(FOLDER / "components/scaling" / name)
    if each["kind"] == "ScaledObject"
}


@pytest.mark.parametrize("name", SCALED)
def test_scales_what_there_is(name: str) -> None:
    assert SCALED[name]["scaleTargetRef"] == {"name": name}
    assert name in DEPLOYMENTS
    (patch,) = kustomization(FOLDER / "components/scaling")["patches"]
    assert re.fullmatch(patch["target"]["name"], name), "else each apply sets its number back"


@pytest.mark.parametrize("name", SCALED.keys() - {"ml-worker-analyse"})
def test_scales_consumers_by_every_topic_that_they_follow(name: str) -> None:
    service, role = labels(name)["app.kubernetes.io/name"], command(name)[1]
    followed = {topic: entry for topic, entry in CATALOGUE.items() if service in entry.consumers}
    triggers: list[dict[str, Any]] = [trigger["metadata"] for trigger in SCALED[name]["triggers"]]
    assert role == "consume"
    assert {trigger["topic"] for trigger in triggers} == followed.keys()
    assert {trigger["consumerGroup"] for trigger in triggers} == {f"gallery.{service}"}
    assert {trigger["bootstrapServersFromEnv"] for trigger in triggers} == {"GALLERY_KAFKA_SERVERS"}
    assert SCALED[name]["maxReplicaCount"] <= min(entry.partitions for entry in followed.values())


def _production() -> dict[str, str]:
    lines = (FOLDER / "overlays/production/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
