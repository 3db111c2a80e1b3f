"""What became of the files of one import."""

from collections.abc import Sequence

from gallery.cli.found import Rejected, Source
from gallery.cli.sending import Sent
from gallery.cli.summary import Progress, Summary

BAR = "uploading"


class Taken:
    """Counts files as they end, each of them accepted, already stored, or rejected.

    Attributes:
        accepted: What this import brought in, by photo id.
        stored_before: Ids of the photos that were there.
    """

    def __init__(self, total: int, *, progress: Progress, summary: Summary) -> None:
        self.accepted: dict[str, Source] = {}
        self.stored_before: set[str] = set()
        self._progress = progress
        self._summary = summary
        self._total = total
        self._ended = 0
        self.show()

    def note(self, equal: Sequence[Source], sent: Sent) -> None:
        """Count files of the same bytes: if they are taken, all but the first are stored already."""
        if sent.photo is None:
            self._summary.rejected += [Rejected(each.file, sent.code, sent.detail) for each in equal]
        elif sent.status == "accepted":
            self._summary.accepted += 1
            self._summary.already_stored += len(equal) - 1
            self.accepted[sent.photo] = equal[0]
        else:
            self._summary.already_stored += len(equal)
            self.stored_before.add(sent.photo)
        self._ended += len(equal)
        self.show()

    def show(self, *, sent: int = 0) -> None:
        """Move the bar; ``sent`` are those that have ended and are not noted yet."""
        self._progress.show(BAR, self._ended + sent, self._total)
