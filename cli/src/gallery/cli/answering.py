"""One question to the gallery, and its answer told as JSON or as people read it."""

from collections.abc import Callable
from typing import Any

import click

from gallery.cli import output
from gallery.cli.connection import connected
from gallery.cli.main import Target

as_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")

Show = Callable[[dict[str, Any]], None]
"""Prints an answer for people."""


def ask(target: Target, path: str, *, method: str = "GET", **options: Any) -> dict[str, Any]:
    """Ask one question; ``options`` are those of an HTTP request."""
    with connected(target.data, server=target.server) as connection:
        answer: dict[str, Any] = connection.ask(method, path, **options)
    return answer


def tell(answer: dict[str, Any], *, as_json: bool, show: Show = output.facts) -> None:
    """Print an answer, for programs or for people."""
    if as_json:
        output.document(answer)
    else:
        show(answer)
