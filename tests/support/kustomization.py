"""As much of kustomize as the base needs, so that what it says of processes can be held against the code without it.

`tests/deploy/test_real_tools.py` sees that the real one makes the same of it.
"""

import copy
import json
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

_KEYS = ("name", "mountPath", "containerPort", "topologyKey")
"""By which elements of lists are told apart, where they are at all."""


def manifests(path: Path) -> list[Manifest]:
    """Read every document of a file; what it says once and means twice is there twice."""
    return [json.loads(json.dumps(each)) for each in yaml.safe_load_all(path.read_text()) if each is not None]


def kustomization(folder: Path) -> Manifest:
    """Read what a folder is made of."""
    (told,) = manifests(folder / "kustomization.yaml")
    return told


def build(folder: Path) -> list[Manifest]:
    """Put the resources of a base together: its patches by kind, its common labels, its namespace."""
    told = kustomization(folder)
    built = [each for name in told["resources"] for each in manifests(folder / name)]
    for each in built:
        for patch in told["patches"]:
            if patch["target"] == {"kind": each["kind"]}:
                (changes,) = manifests(folder / patch["path"])
                _merge(each, {"spec": changes["spec"]})
        if each["kind"] not in ("Namespace", "PriorityClass"):
            each["metadata"]["namespace"] = told["namespace"]
        for labelled in (each, each.get("spec", {}).get("template")):
            if labelled:
                labelled.setdefault("metadata", {}).setdefault("labels", {}).update(told["labels"][0]["pairs"])
    return built


def referenced(folder: Path) -> list[Path]:
    """The files and folders that a kustomization names."""
    told = kustomization(folder)
    names = [*told.get("resources", []), *told.get("components", [])]
    names += [patch["path"] for patch in told.get("patches", []) if "path" in patch]
    names += [name for generator in told.get("configMapGenerator", []) for name in generator.get("envs", [])]
    return [folder / name for name in names]


def _merge(into: Manifest, changes: Manifest) -> None:
    for name, change in changes.items():
        if isinstance(change, dict) and isinstance(into.get(name), dict):
            _merge(into[name], change)
        elif isinstance(change, list) and name in into:
            _merge_list(into[name], change)
        else:
            into[name] = copy.deepcopy(change)


def _merge_list(into: list[Any], changes: list[Any]) -> None:
    for change in changes:
        key = next(key for key in _KEYS if key in change)
        same = [each for each in into if each[key] == change[key]]
        if same:
            _merge(same[0], change)
        else:
            into.append(copy.deepcopy(change))
