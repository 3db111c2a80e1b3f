"""``gallery doctor``: the machine, the engines that the settings choose, and the gallery; and what to do about each.

It asks the engines itself: they have to be well before a gallery can run on them.
"""

import asyncio
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gallery.adapters.findings import Finding
from gallery.cli import output
from gallery.cli.answering import as_json_option
from gallery.cli.connection import connected, running_on
from gallery.cli.errors import CommandError, ExitCode
from gallery.cli.main import Target
from gallery.runtime.settings import SettingsError, load

if TYPE_CHECKING:
    from gallery.adapters.profile import Profile

SHOWN = 5
"""Broken originals that are named in one line; `gallery verify` names all."""
LEAST_FREE_BYTES = 2 * 2**30
"""Below this an import of a few hundred photos fills the disk."""


@click.command()
@as_json_option
@click.pass_obj
def doctor(target: Target, *, as_json: bool) -> None:
    """Look at the machine, the engines and the gallery, and say what to do about each finding."""
    findings = [_python(), _space(target.data), *_profile_and_gallery(target)]
    if as_json:
        output.document({"checks": [_document(each) for each in findings]})
    else:
        rows = [(_mark(each), each.check, each.found, _advice(each)) for each in findings]
        output.table(["", "check", "found", "what to do"], rows, empty="")
    well = all(each.ok or not each.needed for each in findings)
    raise click.exceptions.Exit(ExitCode.DONE if well else ExitCode.FAILED)


def _document(finding: Finding) -> dict[str, Any]:
    told = {"check": finding.check, "ok": finding.ok, "needed": finding.needed, "found": finding.found}
    return {**told, "advice": _advice(finding)}


def _mark(finding: Finding) -> str:
    return "ok" if finding.ok else "!!" if finding.needed else "--"


def _advice(finding: Finding) -> str:
    return "" if finding.ok else finding.advice


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding("python", ok=ok, found=platform.python_version(), advice="install Python 3.11 or newer")


def _space(data: Path) -> Finding:
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 2**30:.1f} GiB free at {existing}"
    return Finding("disk", ok=free >= LEAST_FREE_BYTES, found=found, advice="make room, or move the data folder")


def _profile_and_gallery(target: Target) -> Iterator[Finding]:
    from gallery.adapters.profile import Carrier

    try:
        profile = _profile()
        yield from asyncio.run(_engines(profile))
    except SettingsError as error:
        yield Finding("settings", ok=False, found=str(error), advice="see gallery settings for what there is")
        return
    # One process tree has no relays, so over Kafka none is started to be asked.
    if profile.choices.bus is not Carrier.KAFKA or target.server or running_on(target.data):
        yield from _gallery(target)


def _profile() -> "Profile":
    from gallery.adapters.profile import Profile, ProfileSettings
    from gallery.standalone.parts import KINDS

    return Profile(load(ProfileSettings, beside=KINDS), kinds=KINDS)


async def _engines(profile: "Profile") -> list[Finding]:
    from gallery.adapters.engines import examined
    from gallery.standalone.services import NAMES

    try:
        return [each async for each in examined(profile, services=NAMES)]
    except ImportError as error:
        return [Finding("engines", ok=False, found=str(error), advice="install gallery-adapters[distributed]")]


def _gallery(target: Target) -> list[Finding]:
    try:
        with connected(target.data, server=target.server) as connection:
            status = connection.get("/status")
            letters = connection.get("/dead-letters")["dead_letters"]
            audit = connection.get("/audit")
    except CommandError as error:
        return [Finding("gallery", ok=False, found="does not answer", advice=str(error))]
    notices = status.get("notices", [])
    return [
        Finding("gallery", status["consistent"], f"{status['photos']} photos", "run gallery events resync"),
        Finding("originals", not audit["faults"], _audit(audit), "restore these from a backup, then gallery verify"),
        Finding("dead letters", not letters, str(len(letters)), "see gallery dead-letters list"),
        Finding("packs", not notices, _packs(status), "; ".join(notices)),
    ]


def _audit(audit: dict[str, Any]) -> str:
    ended = audit["ended_at"]
    told = [
        f"all read back until {ended[:10]}" if ended else "not all read back yet",
        f"{audit['objects']} since then" if ended else f"{audit['objects']} so far",
        *(f"{fault['kind']}: photo {fault['photo_id']}" for fault in audit["faults"][:SHOWN]),
    ]
    if len(audit["faults"]) > SHOWN:
        told.append(f"and {len(audit['faults']) - SHOWN} more")
    return ", ".join(told)


def _packs(status: dict[str, Any]) -> str:
    missing = status.get("without_pack", [])
    return f"stages without one: {', '.join(missing)}" if missing else "every stage has one"


COMMANDS = {"doctor": doctor}
