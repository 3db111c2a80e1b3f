"""The ``gallery`` command: its options, its exit codes, and where each command lives."""

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from gallery.cli.errors import CommandError, ExitCode

COMMANDS = {
    "up": ("serving", "Serve everything in one process tree."),
    "import": ("serving", "Bring folders, files, zip files and buckets in."),
    "status": ("asking", "How far every photo is."),
    "people": ("asking", "Who was found."),
    "faces": ("asking", "Every face."),
    "name": ("asking", "Say who somebody is."),
    "search": ("asking", "Find photos."),
    "photo": ("asking", "Everything known of one photo."),
    "face": ("asking", "One face, and why it is whose it is."),
    "packs": ("asking", "The model packs."),
    "backfill": ("backfill", "Large imports: how far, pause, resume."),
    "dead-letters": ("upkeep", "Facts that could not be handled."),
    "events": ("upkeep", "Have services say their facts again."),
    "topics": ("topics", "The topics in Kafka, against their catalogue."),
    "settings": ("upkeep", "The settings in force, and their source."),
    "verify": ("upkeep", "Check every object against its row."),
    "doctor": ("doctor", "What is amiss, and what to do about it."),
}
"""Each command, the module that holds it and its line in the help: modules are loaded when a command is called, so that
the help and every command start fast."""


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
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        commands: dict[str, click.Command] = importlib.import_module(f"gallery.cli.{module}").COMMANDS
        return commands[cmd_name]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        """Write the list of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


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
