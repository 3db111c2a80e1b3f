"""One process tree on one data folder: the database, the services, the roles that compute, and the address."""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gallery.runtime.background import background
from gallery.runtime.errors import GalleryError
from gallery.runtime.http import listen
from gallery.runtime.http import serve as serve_http
from gallery.runtime.logs import configure
from gallery.runtime.settings import SettingsError, load
from gallery.runtime.tracing import exporting
from gallery.standalone import parts
from gallery.standalone.data_folder import claimed
from gallery.standalone.parts import KINDS
from gallery.standalone.roles import Role
from gallery.standalone.services import NAMES, gallery
from gallery.standalone.settings import StandaloneSettings

ROLES = ("analyse", "people")


class AddressError(GalleryError):
    """The address cannot be served on: choose another port."""


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(settings: StandaloneSettings, *, ready: Callable[[str], None]) -> None:
    """Serve until cancelled; ``ready`` is told the address once it answers.

    Raises:
        AddressError: The port is in use.
        DataFolderError: The data folder cannot be used, or another gallery runs on it.
        DatabaseError: The embedded database does not open.
    """
    with claimed(settings.data.expanduser()) as folder, _listening(settings) as listener:
        async with parts.database_server(settings, folder) as url:
            profile = parts.profile(settings, url=url, data=folder.root)
            for name in NAMES:
                await profile.migrate(name)
            environment = {"GALLERY_DATA": str(folder.root), "GALLERY_DATABASE_URL": url}
            roles = {name: Role(name, environment=environment).run() for name in ROLES}
            async with (
                background(**roles),
                gallery(settings, profile=profile) as app,
                background(http=serve_http(app, listener=listener)),
            ):
                address = _url(settings.host, listener.getsockname()[1])
                folder.announce(address)
                ready(address)
                await asyncio.Event().wait()


@contextmanager
def _listening(settings: StandaloneSettings) -> Iterator[socket.socket]:
    """Open the port before anything else starts, so that one in use is known at once."""
    try:
        listener = listen(host=settings.host, port=settings.port)
    except OSError as error:
        raise AddressError(
            f"cannot serve on {_url(settings.host, settings.port)} ({error.strerror}): choose another --port"
        ) from error
    with listener:
        yield listener


async def until_stopped(settings: StandaloneSettings, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then stop in order."""
    serving = asyncio.ensure_future(serve(settings, ready=ready))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    with exporting("gallery", settings):
        try:
            await serving
        except asyncio.CancelledError:
            return


def main() -> int:
    """Serve a gallery from the command line, as ``gallery`` starts one for as long as a command runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    configure()
    try:
        given = {"data": options.data, "port": options.port}
        settings = load(StandaloneSettings, beside=KINDS, given=given)
        asyncio.run(until_stopped(settings, ready=lambda address: print(address, flush=True)))  # noqa: T201  # the answer
    except (GalleryError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
