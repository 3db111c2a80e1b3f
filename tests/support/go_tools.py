"""Programs and files that come from the Go module proxy, kept in the cache of the engines."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from support.engines.process import fetched, tool

KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.2"
COMPOSE = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
"""The library by which Docker reads Compose files, with a program that reads one and says what it means."""


def program(package: str) -> Path:
    """Return the only program of a package, built at the first use (10 to 30 s)."""

    def build(folder: Path) -> None:
        environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder)}
        subprocess.run([_go(), "install", package], env=environment, check=True)

    (built,) = fetched(package.replace("/", "_"), build).iterdir()
    return built


def module(name: str, *folders: str) -> Path:
    """Return a folder with these folders of a module, at the version that its name ends with."""

    def copy(folder: Path) -> None:
        told = subprocess.run([_go(), "mod", "download", "-json", name], cwd=folder, capture_output=True, check=True)
        for wanted in folders:
            shutil.copytree(Path(json.loads(told.stdout)["Dir"]) / wanted, folder / wanted)

    return fetched(name.replace("/", "_"), copy)


def _go() -> str:
    return tool("go", needed="to build versitygw, kustomize and a reader of Compose files")
