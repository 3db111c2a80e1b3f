"""What is asked of every manifest, wherever it came from."""

from collections.abc import Iterable, Iterator

import kubernetes_validate
from support.kustomization import Manifest

KUBERNETES = "1.37"
WORKLOADS = ("Deployment", "StatefulSet", "Job")


def of_kind(manifests: Iterable[Manifest], *kinds: str) -> dict[str, Manifest]:
    """Those of these kinds, by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] in kinds}


def check_schema(manifest: Manifest) -> None:
    """Hold a manifest against Kubernetes' own schema, which knows every field.

    Raises:
        kubernetes_validate.ValidationError: It does not fit.
        kubernetes_validate.SchemaNotFoundError: It is a custom resource.
    """
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def pods(manifests: Iterable[Manifest]) -> Iterator[Manifest]:
    """The templates of pods, of whatever makes them."""
    return (each["spec"]["template"] for each in manifests if each["kind"] in WORKLOADS)


def containers(pod: Manifest) -> list[Manifest]:
    """Every container of a pod, those before its start included."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def check_restricted(pod: Manifest) -> None:
    """Hold a pod against the restricted level of the pod security standards, and a little more."""
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert {kind for volume in spec.get("volumes", []) for kind in volume} <= {
        "name",
        "emptyDir",
        "secret",
        "persistentVolumeClaim",
    }
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def selects(selector: Manifest, labels: Manifest) -> bool:
    """Whether a selector takes what has these labels."""
    assert selector.keys() <= {"matchLabels"}
    wanted: Manifest = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
