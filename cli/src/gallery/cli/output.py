"""What people see: tables, sentences and bars at a terminal; one document with ``--json``."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from gallery.cli.importing import Summary

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def document(content: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows, or a sentence when there are none."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        numeric = column in {"faces", "photos", "pending", "done", "failed", "rejected", "score", "quality"}
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(made if made.row_count else empty)


def facts(content: dict[str, Any]) -> None:
    """Print what is known of one thing, a line each."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in content.items():
        if value not in (None, "", [], {}):
            made.add_row(name.replace("_", " "), value if isinstance(value, str) else json.dumps(value, indent=1))
    out.print(made)


def summary(result: Summary) -> None:
    """Say what an import came to."""
    out.print(
        f"{result.found} found, {result.accepted} new, {result.already_stored} stored before, {result.ignored} ignored,"
        f" in {result.seconds:g} s"
    )
    if result.people or result.faces:
        out.print(
            f"{result.faces} faces, {result.people} people with two or more,"
            f" {result.unassigned_faces} faces of nobody yet"
        )
    if result.failed:
        out.print(f"[red]{result.failed} failed on our side[/red]: see gallery dead-letters list, then import again")
    for entry in result.rejected:
        out.print(f"[yellow]rejected[/yellow] {entry.path}: {entry.detail} ({entry.code})", soft_wrap=True)


class Bars:
    """Progress at a terminal; silent elsewhere."""

    def __init__(self) -> None:
        self._bars = RichProgress(
            TextColumn("{task.description:>18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
        )
        self._current: Any = None

    def __enter__(self) -> Self:
        if err.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, what: str, total: int) -> None:
        """Start a new bar."""
        self._current = self._bars.add_task(what, total=total)

    def advance(self, done: int) -> None:
        """Say how many of the current bar are done."""
        self._bars.update(self._current, completed=done)
