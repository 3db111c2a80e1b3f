"""The first half of an import: hash, ask what is known, send the rest."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from gallery.cli.connection import Connection
from gallery.cli.direct import LARGE, send_directly
from gallery.cli.found import Rejected, Source
from gallery.cli.reading import UnreadableSourceError, digest
from gallery.cli.sending import Sent, fields_of, send
from gallery.cli.summary import Progress, Summary
from gallery.cli.takeout import merged

SENDERS = 4
"""Uploads in flight: enough to fill two cores, few enough to stay fair."""
READERS = 2
FILES_A_SLICE = 250
"""Files hashed before the first of them is sent; the next slice is hashed while this one travels."""
MOST_TOGETHER = 1000
"""Files of one size that are hashed in one slice: some cameras write nothing else."""

BAR = "uploading"


class Uploading:
    """One pass over all files, each of which ends accepted, already stored, or rejected.

    Attributes:
        accepted: What this import brought in, by photo id.
        stored_before: Ids of the photos that were there.
    """

    def __init__(self, connection: Connection, *, lane: str, progress: Progress, summary: Summary) -> None:
        self.accepted: dict[str, Source] = {}
        self.stored_before: set[str] = set()
        self._connection = connection
        self._lane = lane
        self._progress = progress
        self._summary = summary
        self._sources: defaultdict[str, list[Source]] = defaultdict(list)  # by digest; the first one is sent
        self._ended = 0
        self._total = 0

    def run(self, sources: Sequence[Source]) -> None:
        """Send what is new.

        Raises:
            CommandError: The gallery cannot take more, or went away.
        """
        self._total = len(sources)
        self._end(0)
        with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(SENDERS) as senders:
            jobs: dict[Future[Sent], str] = {}
            try:
                for part in _slices(sources):
                    new = self._new_digests(part, readers)
                    jobs |= {senders.submit(self._send, sha256): sha256 for sha256 in new}
                    self._progress.show(BAR, self._ended + sum(job.done() for job in jobs), self._total)
                for job in as_completed(jobs):
                    self._note(self._sources[jobs[job]], job.result())
            except BaseException:
                senders.shutdown(wait=False, cancel_futures=True)
                readers.shutdown(wait=False, cancel_futures=True)
                raise

    def _new_digests(self, sources: Sequence[Source], readers: ThreadPoolExecutor) -> list[str]:
        """Sort sources in by digest; returns the digests that have to be sent."""
        fresh: dict[str, None] = {}
        for source, job in [(source, readers.submit(digest, source)) for source in sources]:
            try:
                sha256 = job.result()
            except UnreadableSourceError as error:
                self._note([source], Sent("rejected", code="unreadable", detail=str(error)))
                continue
            if sha256 not in self._sources:
                fresh[sha256] = None
            self._sources[sha256].append(source)
        known = self._known(list(fresh))
        for sha256, photo in known.items():
            self._note(self._sources[sha256], Sent("already_stored", photo))
        return [sha256 for sha256 in fresh if sha256 not in known]

    def _known(self, digests: Sequence[str]) -> Mapping[str, str]:
        if not digests:
            return {}
        known: Mapping[str, str] = self._connection.ask("POST", "/uploads/exists", json={"sha256": digests})["known"]
        return known

    def _send(self, sha256: str) -> Sent:
        equal = self._sources[sha256]
        said = merged([source.said() for source in equal])
        fields = fields_of(equal[0], digest=sha256, lane=self._lane, said=said)
        direct = send_directly(self._connection, equal[0], fields) if equal[0].size > LARGE else None
        return direct or send(self._connection, equal[0], fields)

    def _note(self, equal: Sequence[Source], sent: Sent) -> None:
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
        self._end(len(equal))

    def _end(self, count: int) -> None:
        self._ended += count
        self._progress.show(BAR, self._ended, self._total)


def _slices(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """Cut so that files of one size stay together: what is said of one of equal files is known before it is sent."""
    sizes: dict[int, list[Source]] = {}
    for source in sources:
        sizes.setdefault(source.size, []).append(source)
    part: list[Source] = []
    for equal in sizes.values():
        for start in range(0, len(equal), MOST_TOGETHER):
            part += equal[start : start + MOST_TOGETHER]
            if len(part) >= FILES_A_SLICE:
                yield part
                part = []
    if part:
        yield part
