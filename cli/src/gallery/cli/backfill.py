"""``gallery backfill``: how far large imports are, and holding them up."""

from datetime import timedelta
from typing import Any

import click

from gallery.cli import output
from gallery.cli.answering import as_json_option, ask, tell
from gallery.cli.main import Target


@click.group()
def backfill() -> None:
    """Large imports: list, pause, resume, and how much of the machine they get."""


@backfill.command("list")
@as_json_option
@click.pass_obj
def list_(target: Target, *, as_json: bool) -> None:
    """Per library and lane what is pending, how fast it goes, and the time left."""
    tell(ask(target, "/backfill"), as_json=as_json, show=_show)


@backfill.command()
@as_json_option
@click.pass_obj
def pause(target: Target, *, as_json: bool) -> None:
    """Let the backfill wait, also over restarts; single uploads go on."""
    _change(target, {"paused": True}, as_json=as_json)


@backfill.command()
@as_json_option
@click.pass_obj
def resume(target: Target, *, as_json: bool) -> None:
    """Go on with it."""
    _change(target, {"paused": False}, as_json=as_json)


@backfill.command()
@click.argument("turns", type=click.IntRange(1, 10))
@as_json_option
@click.pass_obj
def weight(target: Target, turns: int, *, as_json: bool) -> None:
    """Give the library so many turns in each round of all libraries; 1 is usual."""
    _change(target, {"weight": turns}, as_json=as_json)


def _change(target: Target, change: dict[str, Any], *, as_json: bool) -> None:
    answer = ask(target, "/backfill", method="PATCH", json=change)
    tell(answer, as_json=as_json, show=lambda one: _show({"libraries": [one]}))


def _show(answer: dict[str, Any]) -> None:
    rows = [
        (library["library"], library["weight"], lane, pace["pending"], pace["done_per_minute"], _left(library, lane))
        for library in answer["libraries"]
        for lane, pace in library["lanes"].items()
    ]
    output.table(["library", "weight", "lane", "pending", "per minute", "time left"], rows, empty="no libraries")


def _left(library: dict[str, Any], lane: str) -> str:
    if library["paused"] and lane == "backfill":
        return "paused"
    seconds = library["lanes"][lane]["seconds_left"]
    return "unknown" if seconds is None else str(timedelta(seconds=seconds))


COMMANDS = {"backfill": backfill}
