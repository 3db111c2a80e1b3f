"""``gallery up`` and ``gallery import``."""

import asyncio
import signal
from pathlib import Path

import click

from gallery.cli import output
from gallery.cli.connection import Connection, client, connected, started, token
from gallery.cli.errors import CommandError, ExitCode
from gallery.cli.importing import Import, Summary
from gallery.cli.main import Target
from gallery.cli.walking import Found, walk


def _import(connection: Connection, found: Found, *, lane: str, wait: bool) -> Summary:
    with output.Bars() as bars:
        return Import(connection, lane=lane, progress=bars).run(found, wait=wait)


def _code(result: Summary) -> ExitCode:
    if result.failed:
        return ExitCode.FAILED
    return ExitCode.REJECTED if result.rejected else ExitCode.DONE


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--lane", type=click.Choice(["interactive", "backfill"]), default="backfill", show_default=True)
@click.option("--no-wait", is_flag=True, help="Return once everything is stored.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def import_(target: Target, paths: tuple[Path, ...], *, lane: str, no_wait: bool, as_json: bool) -> None:
    """Bring folders, files and zip files into the gallery."""
    found = walk(paths)
    with connected(target.data, server=target.server) as connection:
        result = _import(connection, found, lane=lane, wait=not no_wait)
    if as_json:
        output.document(result.document())
    else:
        output.summary(result)
    raise click.exceptions.Exit(_code(result))


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 takes a free one.")
@click.option("--import", "photos", type=click.Path(path_type=Path), help="Import this folder first.")
@click.option("--once", is_flag=True, help="Stop after the import.")
@click.pass_obj
def up(target: Target, *, port: int | None, photos: Path | None, once: bool) -> None:
    """Serve everything in one process tree until Ctrl-C."""
    if photos is None:
        _serve(target, port)
        return
    found = walk([photos])
    with started(target.data, port=port) as url, client(url, token(target.data, server=None)) as opened:
        result = _import(Connection(opened, url), found, lane="backfill", wait=True)
        output.summary(result)
        if not once:
            output.out.print(f"serving at {url}, Ctrl-C stops it")
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    raise click.exceptions.Exit(ExitCode.FAILED if result.failed else ExitCode.DONE)


def _serve(target: Target, port: int | None) -> None:
    from gallery.runtime.errors import GalleryError
    from gallery.runtime.logs import configure
    from gallery.runtime.settings import SettingsError, load
    from gallery.standalone.main import until_stopped
    from gallery.standalone.services import KINDS
    from gallery.standalone.settings import StandaloneSettings

    configure()
    try:
        given = {"data": target.data, "port": port}
        settings = load(StandaloneSettings, file=target.config, beside=KINDS, given=given)
        asyncio.run(until_stopped(settings, ready=lambda url: click.echo(f"serving at {url}, Ctrl-C stops it")))
    except (GalleryError, SettingsError) as error:
        raise CommandError(str(error)) from error


COMMANDS = {"up": up, "import": import_}
