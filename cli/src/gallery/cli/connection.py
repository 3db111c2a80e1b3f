"""Talking to a gallery: the one named, the one that runs on the data folder, or one started for as long as we run."""

import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from gallery.cli.errors import CommandError, UnreachableError, UsageError

PR_SET_PDEATHSIG = 1
ANSWER_WITHIN = httpx.Timeout(120, connect=5)
UNPROCESSABLE = 422
UNAUTHORIZED = 401
AWAY = frozenset({502, 503, 504})
"""Something behind the address does not answer; it may be starting again."""
START_WITHIN_SECONDS = 60
"""The first start makes a database, and one after a power cut recovers it."""
STOP_WITHIN_SECONDS = 30
STORAGE_FULL = "storage_full"
LOOK_EVERY_SECONDS = 0.05
FULL_BELOW_BYTES = 64 * 2**20
"""Where less is free, the gallery's database may have stopped for want of room."""


class Connection:
    """The public API of one gallery."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self.client = client
        self.url = url

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """Return the answer's JSON.

        Raises:
            UsageError: The request was wrong, such as a mistake in a query.
            UnreachableError: Nobody answers, or not all of it does.
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
    detail = problem_of(answer).get("detail") or f"the gallery answered {answer.status_code}"
    if answer.status_code == UNPROCESSABLE:
        return UsageError(detail)
    if answer.status_code == UNAUTHORIZED:
        return CommandError("the gallery does not know this token: it is the content of owner.token in its data folder")
    return UnreachableError(detail) if answer.status_code in AWAY else CommandError(detail)


def is_full(answer: httpx.Response) -> bool:
    """Whether it can store nothing more."""
    return answer.is_error and problem_of(answer).get("code") == STORAGE_FULL


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem document of an answer; empty when it has none."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def running_on(data: Path) -> str | None:
    """Return the address of the gallery that runs on a data folder, waiting for one that is starting; None without.

    Raises:
        CommandError: One holds the folder and does not answer.
    """
    deadline = time.monotonic() + START_WITHIN_SECONDS
    while time.monotonic() < deadline:
        url = _announced(data)
        if url is not None:
            return url
        if not _is_held(data):
            return None
        time.sleep(LOOK_EVERY_SECONDS)
    raise CommandError(f"a gallery holds {data} and does not answer: stop it, then try again")


def _announced(data: Path) -> str | None:
    try:
        url = str(json.loads((data / "gallery.json").read_text())["url"])
        httpx.get(f"{url}/health/live", timeout=5).raise_for_status()
    except (OSError, ValueError, KeyError, TypeError, httpx.HTTPError, httpx.InvalidURL):
        return None
    return url


def _is_held(data: Path) -> bool:
    """Whether a process has the folder's lock, be it that it does not answer yet."""
    try:
        with (data / "gallery.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def connected(data: Path, *, server: str | None) -> Iterator[Connection]:
    """Connect to ``server``, to the gallery on the data folder, or to one started for the block's time."""
    url = running_on(data) if server is None else _checked(server)
    if url is not None:
        with client(url, token(data, server=server)) as opened, _explained(None if server else data):
            yield Connection(opened, url)
        return
    with started(data) as (url, _), client(url, token(data, server=None)) as opened:
        yield Connection(opened, url)


@contextmanager
def _explained(data: Path | None) -> Iterator[None]:
    """Say so when a full disk may be why a gallery went away."""
    try:
        yield
    except UnreachableError as error:
        if data is None or shutil.disk_usage(data).free > FULL_BELOW_BYTES:
            raise
        raise CommandError(
            f"the gallery went away, and the disk of {data} is full:"
            " free some space, start the gallery again, then run this again"
        ) from error


def _checked(server: str) -> str:
    if not server.startswith(("http://", "https://")):
        raise UsageError(f"{server} is no address of a gallery: it begins with http:// or https://")
    return server


def client(url: str, secret: str) -> httpx.Client:
    """Open the connections of one command."""
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secret}"}, timeout=ANSWER_WITHIN)


def token(data: Path, *, server: str | None) -> str:
    """Return what opens the API: of a server as the environment says, else as the data folder has it."""
    if server is not None:
        secret = os.environ.get("GALLERY_TOKEN", "")
        if not secret:
            raise UsageError("--server needs the token of that gallery in GALLERY_TOKEN")
        return secret
    try:
        return (data / "owner.token").read_text().strip()
    except OSError as error:
        raise CommandError(f"{data / 'owner.token'} cannot be read ({error.strerror})") from error


@contextmanager
def started(data: Path, *, port: int | None = 0) -> "Iterator[tuple[str, subprocess.Popen[str]]]":
    """Serve the data folder for the block's time, on ``port`` or the one that is set; yields address and process.

    At a terminal its logs go to ``gallery.log`` in the data folder, so that they don't run through bars and tables.

    Raises:
        CommandError: It did not start; the sentence is its own where it said one.
    """
    port_option = [] if port is None else ["--port", str(port)]
    with _log(data) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gallery.standalone", "--data", str(data), *port_option],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # no thread of ours runs yet
        )
        with process:
            try:
                assert process.stdout is not None  # noqa: S101  # it was asked for above
                url = process.stdout.readline().strip()
                if not url:
                    raise CommandError(_last_words(log))
                yield url, process
            except UnreachableError as error:
                if process.poll() is None:
                    raise
                raise CommandError(_last_words(log)) from error
            finally:
                stop(process)


@contextmanager
def _log(data: Path) -> Iterator[IO[str] | None]:
    """The file for the gallery's logs; None where they simply go on standard error, as scripts expect."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = (data / "gallery.log").open("w+", encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{data} cannot be used as data folder ({error.strerror}): choose another one with --data"
        ) from error
    with log:
        yield log


def _last_words(log: IO[str] | None) -> str:
    """Return the sentence with which it ended."""
    if log is None:
        return "the gallery ended; the reason is above"
    log.seek(0)
    lines = [line.strip() for line in log if line.strip()]
    return lines[-1] if lines else "the gallery ended, and did not say why"


def stop(process: "subprocess.Popen[str]") -> None:
    """Ask it to stop, and make sure that it does."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
