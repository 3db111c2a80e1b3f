"""Commands that look after a gallery."""

from typing import Any

import click

from gallery.cli import output
from gallery.cli.answering import as_json_option, ask, tell
from gallery.cli.errors import ExitCode
from gallery.cli.main import Target


@click.command()
@as_json_option
@click.pass_obj
def settings(target: Target, *, as_json: bool) -> None:
    """The effective settings, each with its source; secrets masked."""
    tell(ask(target, "/settings"), as_json=as_json, show=_show_settings)


def _show_settings(answer: dict[str, Any]) -> None:
    rows = [(one["name"], one["value"], one["unit"], one["source"]) for one in answer["settings"]]
    output.table(["name", "value", "unit", "source"], rows, empty="no settings")


@click.group("dead-letters")
def dead_letters() -> None:
    """Facts that could not be handled: list, show, replay."""


@dead_letters.command("list")
@as_json_option
@click.pass_obj
def list_letters(target: Target, *, as_json: bool) -> None:
    """The oldest first."""
    tell(ask(target, "/dead-letters"), as_json=as_json, show=_show_letters)


def _show_letters(answer: dict[str, Any]) -> None:
    rows = [(one["id"], one["service"], one["type"], one["state"], one["cause"]) for one in answer["dead_letters"]]
    output.table(["id", "service", "type", "state", "cause"], rows, empty="no dead letters")


@dead_letters.command("show")
@click.argument("letter_id", metavar="ID")
@as_json_option
@click.pass_obj
def show_letter(target: Target, letter_id: str, *, as_json: bool) -> None:
    """One of them, with its cause."""
    tell(ask(target, f"/dead-letters/{letter_id}"), as_json=as_json)


@dead_letters.command("replay")
@click.argument("letter_id", metavar="ID")
@as_json_option
@click.pass_obj
def replay_letter(target: Target, letter_id: str, *, as_json: bool) -> None:
    """Handle it again, with all that waits behind it."""
    tell(ask(target, f"/dead-letters/{letter_id}/replay", method="POST"), as_json=as_json)


@click.group()
def events() -> None:
    """The facts that services tell one another."""


@events.command()
@as_json_option
@click.pass_obj
def resync(target: Target, *, as_json: bool) -> None:
    """Have the owners say their current facts again; what was missed is caught up with."""
    tell(ask(target, "/events/resync", method="POST"), as_json=as_json)


@click.command()
@as_json_option
@click.pass_obj
def verify(target: Target, *, as_json: bool) -> None:
    """Compare every object with its checksum and its row, both ways."""
    answer = ask(target, "/verify", method="POST", timeout=None)
    tell(answer, as_json=as_json, show=_show_findings)
    raise click.exceptions.Exit(ExitCode.FAILED if answer["findings"] else ExitCode.DONE)


def _show_findings(answer: dict[str, Any]) -> None:
    columns = ("service", "kind", "photo_id", "key", "detail")
    rows = [[finding.get(column) for column in columns] for finding in answer["findings"]]
    output.table(columns, rows, empty=f"{answer['objects']} objects, nothing amiss")


COMMANDS = {
    "settings": settings,
    "dead-letters": dead_letters,
    "events": events,
    "verify": verify,
}
