"""What an import came to."""

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from gallery.cli.errors import ExitCode
from gallery.cli.found import Rejected


class Progress(Protocol):
    """Where an import shows how far it is."""

    def show(self, what: str, done: int, total: int) -> None:
        """Draw a bar of this name, or move the one that is there."""
        ...


@dataclass(slots=True)
class Summary:
    """Counts that add up; the names are those of the JSON.

    ``found = accepted + already_stored + those rejected at upload`` and, once all has ended,
    ``accepted = done + failed + those rejected later``. Faces and people are those of the whole library.
    """

    found: int = 0
    accepted: int = 0
    already_stored: int = 0
    ignored: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    done: int = 0
    failed: int = 0
    faces: int = 0
    people: int = 0
    unassigned_faces: int = 0
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @property
    def exit_code(self) -> ExitCode:
        """What the shell is told."""
        if self.failed:
            return ExitCode.FAILED
        return ExitCode.REJECTED if self.rejected else ExitCode.DONE
