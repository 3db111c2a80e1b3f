"""The first half of an import: hash, ask what is known, send the rest."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from gallery.cli.connection import Connection
from gallery.cli.direct import LARGE, send_directly
from gallery.cli.found import Source
from gallery.cli.reading import UnreadableSourceError, digest
from gallery.cli.sending import Sent, fields_of, send, stored
from gallery.cli.taken import Taken
from gallery.cli.takeout import merged

SENDERS = 4
"""Uploads in flight: enough to fill two cores, few enough to stay fair."""
READERS = 2
FILES_A_SLICE = 250
"""Files hashed before the first of them is sent; the next slice is hashed while this one travels."""
MOST_TOGETHER = 1000
"""Files of one size that are hashed in one slice: some cameras write nothing else."""


class Uploading:
    """One pass over all files, each of which ends accepted, already stored, or rejected."""

    def __init__(self, connection: Connection, *, lane: str, taken: Taken) -> None:
        self._connection = connection
        self._lane = lane
        self._taken = taken
        self._sources: defaultdict[str, list[Source]] = defaultdict(list)  # by digest; the first one is sent

    def run(self, sources: Sequence[Source]) -> None:
        """Send what is new.

        Raises:
            CommandError: The gallery cannot take more, or went away.
        """
        with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(SENDERS) as senders:
            jobs: dict[Future[Sent], str] = {}
            try:
                for part in _slices(sources):
                    new = self._new_digests(part, readers)
                    jobs |= {senders.submit(self._send, sha256): sha256 for sha256 in new}
                    self._taken.show(sent=sum(job.done() for job in jobs))
                for job in as_completed(jobs):
                    self._taken.note(self._sources[jobs[job]], job.result())
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
                self._taken.note([source], Sent("rejected", code="unreadable", detail=str(error)))
                continue
            if sha256 not in self._sources:
                fresh[sha256] = None
            self._sources[sha256].append(source)
        known = stored(self._connection, list(fresh))
        for sha256, photo in known.items():
            self._taken.note(self._sources[sha256], Sent("already_stored", photo))
        return [sha256 for sha256 in fresh if sha256 not in known]

    def _send(self, sha256: str) -> Sent:
        equal = self._sources[sha256]
        said = merged([source.said() for source in equal])
        fields = fields_of(equal[0], digest=sha256, lane=self._lane, said=said)
        direct = send_directly(self._connection, equal[0], fields) if equal[0].size > LARGE else None
        return direct or send(self._connection, equal[0], fields)


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
