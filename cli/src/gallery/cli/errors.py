"""Errors of the command; each knows its exit code."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command tells the shell."""

    DONE = 0
    FAILED = 1
    REJECTED = 2
    """Done, but some input was rejected; each file is named with its reason."""
    USAGE = 64


class CommandError(Exception):
    """The command cannot go on; the sentence says what to do."""

    code = ExitCode.FAILED


class UsageError(CommandError):
    """The command line is wrong, a mistake in a query included."""

    code = ExitCode.USAGE


class UnreachableError(CommandError):
    """No gallery answers where one should, or not all of it does."""


class NoRoomError(CommandError):
    """The gallery can store nothing more; what is stored stays."""

    def __init__(self) -> None:
        super().__init__(
            "the gallery has no room left: free some space on its disk, then run the import again,"
            " it goes on where it stopped"
        )
