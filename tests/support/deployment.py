"""What the code says of its processes, for deployments to be held against."""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from gallery.runtime import process
from gallery.runtime.settings import PREFIX, Settings, load

ROOT = Path(__file__).parents[2]
SERVICES = ("upload", "metadata", "ml-worker", "search", "gateway")
PROGRAMS = (*(f"gallery-{service}" for service in SERVICES), "gallery-relay", "gallery-topics")
BEFORE_THE_START = frozenset({"migrate", "apply"})
"""Jobs that have to be done before processes can serve."""
STOPS_WITHIN_SECONDS = 10

_ENGINES = {
    "database": "postgres",
    "bus": "kafka",
    "blobs": "s3",
    "search_index": "elasticsearch",
    "vectors": "qdrant",
}
"""The methods of a profile that open something, and what stands behind them in the distributed one."""
ENGINES = frozenset(_ENGINES.values())

Command = tuple[str, str]


@dataclass(frozen=True)
class Needs:
    """Whom a process talks to."""

    engines: frozenset[str]
    services: frozenset[str] = frozenset()


def documents(path: Path) -> list[dict[str, object]]:
    """Read every document of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


@cache
def settings_kinds() -> tuple[type[Settings], ...]:
    """Every class of settings that there is."""
    for source in sorted(ROOT.glob("*/*/src/gallery/**/*.py")):
        if re.search(r"^class .*Settings\):", source.read_text(), re.MULTILINE):
            inside = source.relative_to(source.parents[len(source.parts) - source.parts.index("src") - 2])
            importlib.import_module(".".join(inside.with_suffix("").parts))
    return tuple(kind for kind in dict.fromkeys(_below(Settings)) if kind.__module__.startswith("gallery."))


def _below(kind: type[Settings]) -> Iterator[type[Settings]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def setting_names() -> frozenset[str]:
    """Every variable that some process reads."""
    fields = {f"{PREFIX}{name.upper()}" for kind in settings_kinds() for name in kind.model_fields}
    return frozenset({*fields, *(f"{name}_FILE" for name in fields), f"{PREFIX}CONFIG"})


def check_settings(settings: Mapping[str, str], *, secrets: Path, environment: pytest.MonkeyPatch) -> None:
    """Read settings as a process of the images does; raises when it could not start with them.

    Args:
        settings: The variables of one process; what secret files hold does not matter here.
        secrets: An empty folder.
        environment: Takes everything back after the test.
    """
    assert settings.keys() <= setting_names(), f"nobody reads {sorted(settings.keys() - setting_names())}"
    environment.setenv(f"{PREFIX}CONFIG", str(ROOT / "config/distributed.toml"))
    for name, value in settings.items():
        if name.endswith("_FILE"):
            secret = secrets / Path(value).name
            secret.write_text("secret")
            environment.setenv(name, str(secret))
        else:
            environment.setenv(name, value)
    for kind in settings_kinds():
        load(kind, beside=settings_kinds())


@cache
def roles(program: str) -> frozenset[str]:
    """What a program runs as until it is told to stop."""
    return frozenset(_told(program)["roles"])


@cache
def jobs(program: str) -> frozenset[str]:
    """What a program does once."""
    return frozenset(_told(program)["jobs"])


def _told(program: str) -> Mapping[str, Any]:
    (script,) = entry_points(group="console_scripts", name=program)
    with patch.object(process, "main") as main:
        script.load()()
    told: Mapping[str, Any] = main.call_args.kwargs
    return told


def processes() -> frozenset[Command]:
    """Every process and job that the distributed profile consists of, without jobs that people do by hand."""
    return frozenset(
        (program, role) for program in PROGRAMS for role in roles(program) | (jobs(program) & BEFORE_THE_START)
    )


def needs(command: Sequence[str]) -> Needs:
    """Whom a process talks to, as the code of its role says."""
    program, role = command
    if program == "gallery-topics":
        return Needs(frozenset({"kafka"}))
    if program == "gallery-relay":
        return Needs(frozenset({"postgres", "kafka"}))
    if role == "migrate":
        return Needs(frozenset({"postgres"}))
    module = importlib.import_module(f"gallery.{program.removeprefix('gallery-').replace('-', '_')}.roles")
    source = inspect.getsource(getattr(module, role))
    return Needs(
        engines=frozenset(engine for method, engine in _ENGINES.items() if f"profile.{method}(" in source),
        services=frozenset(name.lower().replace("_", "-") for name in re.findall(r"Service\.([A-Z_]+)", source)),
    )


def askers(asked: str) -> Iterator[Command]:
    """The processes that ask a service."""
    return (command for command in processes() if asked in needs(command).services)
