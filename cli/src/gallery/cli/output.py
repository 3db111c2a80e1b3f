"""What people see: tables, sentences and bars at a terminal; one document with ``--json``.

Names of files and people are shown as they are: nothing in them is read as markup.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from gallery.cli.summary import Summary

WIDE = 200
"""Columns where there is no terminal, so that ids and paths stay in one piece."""

out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, highlight=False, markup=False)

NUMBERS = frozenset({"faces", "photos", "pending", "done", "failed", "rejected", "score", "quality"})


def document(content: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def say(sentence: str, *, style: str = "") -> None:
    """Print a line for people."""
    out.print(Text(sentence, style=style), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows, or a sentence when there are none."""
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in NUMBERS else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    out.print(made if made.row_count else empty)


def facts(content: dict[str, Any]) -> None:
    """Print what is known of one thing, a line each; what is not known is left out."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in content.items():
        if value not in (None, "", [], {}):
            made.add_row(Text(name.replace("_", " ")), Text(_told(value)))
    out.print(made)


def _told(value: Any) -> str:
    """A value as people would say it: lists as lines, or beside one another where they are plain."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_told(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, list):
        plain = all(isinstance(each, (int, float, str)) for each in value)
        return (", " if plain else "\n").join(_told(each) for each in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def photo(content: dict[str, Any]) -> None:
    """Print one photo."""
    tags = ", ".join(f"{tag['label']} {tag['score']:.2f}" for tag in content.get("tags", []))
    faces = [
        f"{face.get('name') or face['person'] or 'nobody yet'} ({face['state']}), {face['id']}"
        for face in content.get("faces", [])
    ]
    stages = [_stage(name, stage) for name, stage in content.get("stages", {}).items()]
    facts({**content, "tags": tags, "faces": "\n".join(faces), "stages": "\n".join(stages)})


def _stage(name: str, stage: dict[str, Any]) -> str:
    told = [str(stage[each]) for each in ("reason", "pack") if stage.get(each)]
    return f"{name}: {stage['state']}" + (f" ({', '.join(told)})" if told else "")


def summary(result: Summary) -> None:
    """Say what an import came to."""
    if not result.found:
        say(f"no photos or videos here, {_count(result.ignored, 'other file')} passed over")
        return
    say(
        f"{result.found} found: {result.accepted} new, {result.already_stored} stored before,"
        f" {len(result.rejected)} rejected; {result.ignored} ignored; {result.seconds:g} s"
    )
    if result.faces:
        people = _count(result.people, "person", "people")
        say(f"{_count(result.faces, 'face')} in the gallery: {people}, {result.unassigned_faces} of nobody yet")
    if result.failed:
        say(f"{result.failed} failed on our side: see gallery dead-letters list, then import again", style="red")
    for entry in result.rejected:
        say(f"rejected {entry.path}: {entry.detail} ({entry.code})", style="yellow")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


class Bars:
    """Progress at a terminal; silent elsewhere."""

    def __init__(self) -> None:
        self._bars = RichProgress(
            TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if sys.stderr.isatty():  # as the log is kept elsewhere only then; colours may be forced upon a pipe
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """Draw a bar of this name, or move the one that is there."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)
