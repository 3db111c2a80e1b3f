"""Talking to a gallery: the one named, the one that runs on the data folder, or one started for as long as we run."""

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gallery.cli.errors import CommandError, UnreachableError, UsageError

PR_SET_PDEATHSIG = 1
ANSWER_WITHIN = httpx.Timeout(120, connect=5)
UNPROCESSABLE = 422
STOP_WITHIN_SECONDS = 30


class Connection:
    """The public API of one gallery."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self.client = client
        self.url = url

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """Return the answer's JSON.

        Raises:
            UsageError: The request was wrong, such as a mistake in a query.
            UnreachableError: Nobody answers.
            CommandError: The gallery says no; the sentence is its own.
        """
        try:
            answer = self.client.request(method, f"/api/v1{path}", **options)
        except httpx.TransportError as error:
            raise UnreachableError(f"the gallery at {self.url} does not answer ({error})") from error
        if answer.is_success:
            return answer.json()
        raise refusal(answer)

    def get(self, path: str, **parameters: Any) -> Any:
        """Ask for something."""
        return self.ask("GET", path, params=parameters)

    def pages(self, path: str, items: str, **parameters: Any) -> Iterator[Any]:
        """Yield the items of all pages of a listing."""
        cursor: str | None = None
        while True:
            page = self.get(path, **parameters, **({"cursor": cursor} if cursor else {}))
            yield from page[items]
            cursor = page.get("next")
            if not cursor:
                return


def refusal(answer: httpx.Response) -> CommandError:
    """Turn a problem document into an error with its sentence."""
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    detail = problem.get("detail") or f"the gallery answered {answer.status_code}"
    if answer.status_code == UNPROCESSABLE:
        place = f" (at character {problem['position']})" if "position" in problem else ""
        return UsageError(f"{detail}{place}")
    return CommandError(detail)


def running_on(data: Path) -> str | None:
    """Return the address of the gallery that runs on a data folder, if one answers."""
    try:
        url = str(json.loads((data / "gallery.json").read_text())["url"])
        httpx.get(f"{url}/health/live", timeout=5).raise_for_status()
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return None
    return url


@contextmanager
def connected(data: Path, *, server: str | None) -> Iterator[Connection]:
    """Connect to ``server``, to the gallery on the data folder, or to one started for the block's time."""
    url = server or running_on(data)
    if url is not None:
        with client(url, token(data, server=server)) as opened:
            yield Connection(opened, url)
        return
    with started(data) as url, client(url, token(data, server=None)) as opened:
        yield Connection(opened, url)


def client(url: str, secret: str) -> httpx.Client:
    """Open the connections of one command."""
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secret}"}, timeout=ANSWER_WITHIN)


def token(data: Path, *, server: str | None) -> str:
    """Return what opens the API."""
    if secret := os.environ.get("GALLERY_TOKEN"):
        return secret
    if server is not None:
        raise UsageError("--server needs the token of that gallery in GALLERY_TOKEN")
    try:
        return (data / "owner.token").read_text().strip()
    except OSError as error:
        raise CommandError(f"{data / 'owner.token'} cannot be read ({error.strerror})") from error


@contextmanager
def started(data: Path, *, port: int | None = 0) -> Iterator[str]:
    """Serve the data folder for the block's time, on ``port`` or the one that is set; yields the address."""
    port_option = [] if port is None else ["--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "gallery.standalone", "--data", str(data), *port_option],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509  # no thread of ours runs yet
    )
    with process:
        assert process.stdout is not None  # noqa: S101  # it was asked for above
        url = process.stdout.readline().strip()
        if not url:
            raise CommandError("the gallery did not start; the reason is above")
        try:
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
