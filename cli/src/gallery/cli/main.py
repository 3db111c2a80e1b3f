"""The ``gallery`` command: its options, its exit codes, and where each command lives."""

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from gallery.cli.errors import CommandError, ExitCode

COMMANDS = {
    "up": "serving",
    "import": "serving",
    "people": "asking",
    "faces": "asking",
    "face": "asking",
    "name": "asking",
    "photo": "asking",
    "search": "asking",
    "status": "asking",
    "packs": "asking",
    "settings": "upkeep",
    "dead-letters": "upkeep",
    "events": "upkeep",
    "verify": "upkeep",
    "doctor": "upkeep",
}
"""Each command and the module that holds it; loaded when it is called, so that the command starts fast."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which gallery a command talks to.

    Attributes:
        data: The data folder.
        server: Address of a running gallery instead; None to look on the data folder.
        config: Settings file for a gallery that is started here.
    """

    data: Path
    server: str | None
    config: Path | None


class LazyCommands(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return all names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Load one command."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        commands: dict[str, click.Command] = importlib.import_module(f"gallery.cli.{module}").COMMANDS
        return commands[cmd_name]


def _default_data() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "smart-gallery"


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=click.Path(path_type=Path), envvar="GALLERY_DATA", help="Data folder of the gallery.")
@click.option("--config", type=click.Path(path_type=Path, exists=True), envvar="GALLERY_CONFIG", help="Settings file.")
@click.option("--server", metavar="URL", help="Talk to this gallery; its token comes from GALLERY_TOKEN.")
@click.pass_context
def gallery(context: click.Context, data: Path | None, config: Path | None, server: str | None) -> None:
    """Photos go in; a library of people, places and things comes out."""
    if config is not None:
        os.environ["GALLERY_CONFIG"] = str(config)
    context.obj = Target((data or _default_data()).expanduser().absolute(), server, config)


def main() -> None:
    """Run the command and leave with its exit code."""
    try:
        code = gallery.main(standalone_mode=False)
    except click.exceptions.Exit as left:
        code = left.exit_code
    except click.Abort:
        sys.stderr.write("stopped; run it again to go on\n")
        code = ExitCode.FAILED
    except click.ClickException as mistake:
        mistake.show()
        code = ExitCode.USAGE
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        code = error.code
    sys.exit(int(code or 0))


if __name__ == "__main__":
    main()
