"""``gallery topics``: what Kafka has, against the catalogue. It asks Kafka: no gallery runs before its topics."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gallery.adapters.kafka_settings import KafkaSettings
from gallery.adapters.profile import KINDS
from gallery.cli import output
from gallery.cli.answering import as_json_option, tell
from gallery.cli.errors import CommandError, ExitCode
from gallery.runtime.errors import GalleryError
from gallery.runtime.settings import SettingsError, load

if TYPE_CHECKING:
    from gallery.adapters.kafka_topics import Difference


@click.group()
def topics() -> None:
    """The topics in Kafka, as the catalogue has them; GALLERY_KAFKA_SERVERS says where it is."""


@topics.command()
@as_json_option
def apply(*, as_json: bool) -> None:
    """Make what is missing and keep facts longer; nothing is deleted, and no partition changes."""
    differences, changed = asyncio.run(_differences(apply_first=True))
    tell({"changed": _rows(changed), "differences": _rows(differences)}, as_json=as_json, show=_show_applied)


@topics.command()
@as_json_option
def check(*, as_json: bool) -> None:
    """Tell every difference; exit code 1 when there is one."""
    differences, _ = asyncio.run(_differences(apply_first=False))
    tell({"differences": _rows(differences)}, as_json=as_json, show=_show)
    raise click.exceptions.Exit(ExitCode.FAILED if differences else ExitCode.DONE)


async def _differences(*, apply_first: bool) -> tuple[Sequence["Difference"], Sequence["Difference"]]:
    """Return what is different, and what was different before it was applied."""
    try:
        from gallery.adapters import kafka_topics
    except ImportError as error:
        raise CommandError(f"Kafka needs the extra gallery-adapters[distributed]: {error}") from error
    try:
        cluster = load(KafkaSettings, beside=KINDS).cluster
        changed = await kafka_topics.apply(cluster) if apply_first else []
        return await kafka_topics.check(cluster), changed
    except (GalleryError, SettingsError) as error:
        raise CommandError(str(error)) from error


def _rows(differences: Sequence["Difference"]) -> list[dict[str, Any]]:
    return [asdict(each) for each in differences]


def _show_applied(answer: dict[str, Any]) -> None:
    rows = [
        (each["topic"], each["setting"], each["found"] or "missing", each["expected"]) for each in answer["changed"]
    ]
    output.table(["topic", "setting", "was", "is"], rows, empty="nothing to change")
    if answer["differences"]:
        _show(answer)


def _show(answer: dict[str, Any]) -> None:
    columns = ["topic", "setting", "in Kafka", "in the catalogue"]
    differences = answer["differences"]
    rows = [(each["topic"], each["setting"], each["found"] or "missing", each["expected"]) for each in differences]
    output.table(columns, rows, empty="as the catalogue has it")


COMMANDS = {"topics": topics}
