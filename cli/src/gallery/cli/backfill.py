"""``gallery backfill``: how far large imports are, and holding them up."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click

from gallery.cli import output
from gallery.cli.answering import as_json_option, ask, tell
from gallery.cli.errors import UsageError
from gallery.cli.main import Target

KILO = 1000


@click.group()
def backfill() -> None:
    """Large imports: list, pause, resume, and how much of the machine and its disk they get."""


@backfill.command("list")
@as_json_option
@click.pass_obj
def list_(target: Target, *, as_json: bool) -> None:
    """Per library and lane what is pending, how fast it goes, and the time left; what it has cost so far."""
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


@backfill.command()
@click.option("--photos", metavar="NUMBER", help="At most so many; none is no limit.")
@click.option("--size", metavar="SIZE", help="At most so much of originals, such as 500MB or 2TB; none is no limit.")
@as_json_option
@click.pass_obj
def quota(target: Target, *, photos: str | None, size: str | None, as_json: bool) -> None:
    """Limit how much the library may hold. What it holds stays; what is beyond the limit is refused."""
    limits: dict[str, int | None] = {}
    if photos is not None:
        limits["photos"] = _limit(photos, int)
    if size is not None:
        limits["bytes"] = _limit(size, _bytes)
    if not limits:
        raise UsageError("say how much: --photos NUMBER, --size SIZE or both")
    _change(target, {"quota": limits}, as_json=as_json)


def _limit(text: str, read: Callable[[str], int]) -> int | None:
    if text == "none":
        return None
    try:
        return read(text)
    except ValueError as error:
        raise UsageError(f"{text} is no limit: it is a number, or none") from error


def _bytes(text: str) -> int:
    from pydantic import ByteSize, TypeAdapter

    return int(TypeAdapter(ByteSize).validate_python(text))


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
    for library in answer["libraries"]:
        output.say(f"{library['library']} {_used(library['held'], library['quota'])}")
        if library["cost"]["photos"]:
            output.say(f"{library['library']} {_spent(library['cost'])}")


def _used(held: dict[str, int], quota: dict[str, int | None]) -> str:
    photos, size = quota["photos"], quota["bytes"]
    return (
        f"holds {held['photos']}{'' if photos is None else f' of {photos}'} photos,"
        f" {_size(held['bytes'])}{'' if size is None else f' of {_size(size)}'}"
    )


def _spent(cost: dict[str, Any]) -> str:
    began = datetime.fromisoformat(cost["since"]).astimezone()
    return (
        f"backfill since {began:%Y-%m-%d %H:%M}: {cost['photos']} photos,"
        f" {timedelta(seconds=round(cost['cpu_seconds']))} of processor time,"
        f" {_size(cost['original_bytes'])} of originals, {_size(cost['derived_bytes'])} of previews"
    )


def _size(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < KILO:
            return f"{size:.3g} {unit}"
        size /= KILO
    return f"{size:.3g} PB"


def _left(library: dict[str, Any], lane: str) -> str:
    if library["paused"] and lane == "backfill":
        return "paused"
    seconds = library["lanes"][lane]["seconds_left"]
    return "unknown" if seconds is None else str(timedelta(seconds=seconds))


COMMANDS = {"backfill": backfill}
