"""``gallery up`` and ``gallery import``."""

import asyncio
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from gallery.cli import output
from gallery.cli.buckets import SCHEME, BucketPrefix, walk_bucket
from gallery.cli.connection import Connection, client, connected, running_on, started, token
from gallery.cli.digest_notes import DigestNotes
from gallery.cli.errors import CommandError, ExitCode, UsageError
from gallery.cli.found import Found
from gallery.cli.importing import bring_in
from gallery.cli.main import Target
from gallery.cli.summary import Summary
from gallery.cli.walking import walk


def _import(connection: Connection, found: Found, *, lane: str, wait: bool, in_place: bool = False) -> Summary:
    with output.Bars() as bars:
        return bring_in(connection, found, lane=lane, wait=wait, in_place=in_place, progress=bars)


@click.command("import")
@click.argument("places", metavar="PATHS…", nargs=-1, required=True)
@click.option("--lane", type=click.Choice(["interactive", "backfill"]), default="backfill", show_default=True)
@click.option("--no-wait", is_flag=True, help="Return once everything is stored.")
@click.option("--in-place", is_flag=True, help="Leave originals in their bucket; the gallery reads them there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def import_(
    target: Target, places: tuple[str, ...], *, lane: str, no_wait: bool, in_place: bool, as_json: bool
) -> None:
    """Bring folders, files, zip files and s3://BUCKET/PREFIX into the gallery."""
    if in_place and not all(place.startswith(SCHEME) for place in places):
        raise UsageError("only what lies in a bucket can stay in place: name s3://BUCKET/PREFIX")
    with closing(DigestNotes(target.data)) as notes:
        found = _find(places, notes=notes)
        with connected(target.data, server=target.server) as connection:
            result = _import(connection, found, lane=lane, wait=not no_wait, in_place=in_place)
    if as_json:
        output.document(result.document())
    else:
        output.summary(result)
    raise click.exceptions.Exit(result.exit_code)


def _find(places: Sequence[str], *, notes: DigestNotes) -> Found:
    found = walk([Path(place) for place in places if not place.startswith(SCHEME)])
    for place in places:
        if place.startswith(SCHEME):
            walk_bucket(BucketPrefix.parse(place), found, notes=notes)
    return found


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
    found = walk([photos.expanduser()])  # make passes a tilde on as it is
    url = running_on(target.data)
    if url is not None:
        _import_first(target, url, found)
        output.say(f"a gallery already serves at {url}")
        return
    with started(target.data, port=port) as (url, process):
        result = _import_first(target, url, found)
        if not once:
            output.say(f"serving at {url}, Ctrl-C stops it")
            _wait_for(process)
    raise click.exceptions.Exit(ExitCode.FAILED if result.failed else ExitCode.DONE)


def _import_first(target: Target, url: str, found: Found) -> Summary:
    with client(url, token(target.data, server=None)) as opened:
        result = _import(Connection(opened, url), found, lane="backfill", wait=True)
    output.summary(result)
    return result


def _wait_for(process: "subprocess.Popen[str]") -> None:
    """Stay until the gallery ends or somebody stops it."""
    try:
        code = process.wait()
    except KeyboardInterrupt:
        return
    if code:
        raise CommandError(f"the gallery ended with code {code}")


def _serve(target: Target, port: int | None) -> None:
    from gallery.runtime.errors import GalleryError
    from gallery.runtime.logs import configure
    from gallery.runtime.settings import SettingsError, load
    from gallery.standalone.main import until_stopped
    from gallery.standalone.parts import KINDS
    from gallery.standalone.settings import StandaloneSettings

    configure()
    try:
        given = {"data": target.data, "port": port}
        settings = load(StandaloneSettings, file=target.config, beside=KINDS, given=given)
        asyncio.run(until_stopped(settings, ready=lambda url: click.echo(f"serving at {url}, Ctrl-C stops it")))
    except (GalleryError, SettingsError) as error:
        raise CommandError(str(error)) from error


COMMANDS = {"up": up, "import": import_}
