"""Typed settings from one TOML file and the environment, and where each value came from."""

import contextlib
import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ByteSize, PrivateAttr, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

PREFIX = "GALLERY_"
MASK = "********"


class SettingsError(Exception):
    """The settings cannot be used; the message says what to change and where."""


class Settings(BaseSettings):
    """Base of every process's settings: frozen, each field with a title and a description.

    A ``timedelta`` is given in seconds or as ISO 8601 (``PT5M``), a ``ByteSize`` in bytes or as ``8GiB``; any other
    number's unit stands in ``json_schema_extra={"unit": "pixels"}``. In the environment a field is ``GALLERY_`` and its
    name in capitals; with ``_FILE`` behind it, the name of a file that holds the value, as secrets are handed over.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_nested_delimiter="__")

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a field that does not say what it is."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if not (field.title and field.description):
                raise TypeError(f"{cls.__name__}.{name} needs a title and a description")

    @field_validator("*", mode="before")
    @classmethod
    def _seconds(cls, value: Any, info: ValidationInfo) -> Any:
        """Read "7.5" as seconds, which pydantic only does for numbers; the environment has no numbers."""
        field = cls.model_fields.get(info.field_name or "")
        if isinstance(value, str) and field is not None and field.annotation is timedelta:
            with contextlib.suppress(ValueError):
                return float(value)
        return value


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective setting, fit to be shown.

    Attributes:
        name: Of the field; also the key in the file.
        value: As text; secrets are masked.
        source: ``default``, ``file``, ``secret file``, ``environment`` or ``command line``.
        unit: Such as ``bytes``; empty where there is none.
        description: What it does.
    """

    name: str
    value: str
    source: str
    unit: str
    description: str


Kind = TypeVar("Kind", bound=Settings)


def load(
    kind: type[Kind],
    *,
    file: Path | None = None,
    beside: Sequence[type[Settings]] | None = (),
    given: Mapping[str, Any] | None = None,
) -> Kind:
    """Read settings: the command line wins over the environment, that over secret files, these over the file.

    Args:
        kind: The class to fill.
        file: TOML, flat keys named like the fields; by default the one that ``GALLERY_CONFIG`` names, if any.
        beside: Other classes that read the same file; their keys are known, too. None when somebody else reads it who
            knows them all.
        given: What the command line said; None values count as not given.

    Raises:
        SettingsError: A file cannot be read, has an unknown key (the nearest one is named), or a value is wrong.
    """
    path = file or (Path(named) if (named := os.environ.get(f"{PREFIX}CONFIG")) else None)
    written = _read(path) if path else {}
    if beside is not None:
        kinds: list[type[Settings]] = [kind, *beside]
        _refuse_unknown(written, known={name for each in kinds for name in each.model_fields}, file=path)
    values, sources = _merged(
        {
            "file": {name: value for name, value in written.items() if name in kind.model_fields},
            "secret file": dict(_secrets(kind)),
            "environment": EnvSettingsSource(kind)(),
            "command line": {name: value for name, value in (given or {}).items() if value is not None},
        }
    )
    settings = _build(kind, values, sources)
    settings._sources.update(sources)  # noqa: SLF001 - our own attribute
    return settings


def describe(settings: Settings) -> list[Setting]:
    """List every effective setting with its source, in the order of the class; secrets masked."""
    return [
        Setting(
            name=name,
            value=_shown(getattr(settings, name)),
            source=settings._sources.get(name, "default"),  # noqa: SLF001 - our own attribute
            unit=_unit(getattr(settings, name), field.json_schema_extra),
            description=field.description or "",
        )
        for name, field in type(settings).model_fields.items()
    ]


def _merged(layers: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, str]]:
    """Lay the layers over each other, later ones on top; and say which one each value came from."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in layers.items():
        values |= layer
        sources |= dict.fromkeys(layer, source)
    return values, sources


def _secrets(kind: type[Settings]) -> Iterator[tuple[str, str]]:
    for name in kind.model_fields:
        path = os.environ.get(f"{PREFIX}{name.upper()}_FILE")
        if path:
            try:
                yield name, Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"the secret file {path} cannot be read: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the settings file {path} is not valid TOML: {error}") from error


def _refuse_unknown(written: Iterable[str], *, known: set[str], file: Path | None) -> None:
    for name in written:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise SettingsError(f"the settings file {file} has an unknown key {name!r}{hint}")


def _build(kind: type[Kind], values: dict[str, Any], sources: Mapping[str, str]) -> Kind:
    try:
        return kind(**values)
    except ValueError as error:  # pydantic's ValidationError is one; its text would show the value, which may be secret
        details = error.errors(include_input=False, include_url=False) if hasattr(error, "errors") else []
        lines = [
            f"{'.'.join(map(str, each['loc']))} (from {sources.get(str(each['loc'][0]), 'default')}): {each['msg']}"
            if each["loc"]
            else each["msg"].removeprefix("Value error, ")
            for each in details
        ]
        raise SettingsError("a setting is wrong: " + ("; ".join(lines) or "see its description")) from None


def _shown(value: Any) -> str:
    match value:
        case SecretStr():
            return MASK if value.get_secret_value() else ""
        case timedelta():
            return f"{value.total_seconds():g}"
        case None:
            return ""
        case list() | tuple() | set() | frozenset():
            return ", ".join(_shown(each) for each in value)
        case _:
            return str(value)


def _unit(value: Any, extra: Any) -> str:
    if isinstance(extra, dict) and "unit" in extra:
        return str(extra["unit"])
    if isinstance(value, ByteSize):
        return "bytes"
    return "seconds" if isinstance(value, timedelta) else ""
