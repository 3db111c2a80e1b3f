"""The first half of an import that leaves files where they are: the gallery reads each once and refers to it."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

import httpx

from gallery.cli.connection import Connection, problem_of, refusal
from gallery.cli.direct import UNTIL_CHECKED
from gallery.cli.found import Source
from gallery.cli.sending import Sent, announced, fields_of, stored, told, until_answered
from gallery.cli.taken import Taken

ASKED_AT_ONCE = 4
"""Files that the gallery reads side by side."""
FILES_A_SLICE = 1000
"""Digests that are asked about at once."""
FILE_REFUSED = frozenset({403, 413, 415, 422})
"""Answers that speak of the file, or the place, and not of the way that we ask."""


class Leaving:
    """One pass over files in buckets, each of which ends accepted, already stored, or rejected."""

    def __init__(self, connection: Connection, *, lane: str, taken: Taken) -> None:
        self._connection = connection
        self._lane = lane
        self._taken = taken

    def run(self, sources: Sequence[Source]) -> None:
        """Have the gallery take in what is new, or what it has lost as far as it knows.

        What an import before has noted of unchanged files is not read again.

        Raises:
            CommandError: The gallery may not refer to the bucket, can take no more, or went away.
        """
        lost = {fault["photo_id"] for fault in self._connection.get("/audit")["faults"]}
        with ThreadPoolExecutor(ASKED_AT_ONCE) as asking:
            try:
                for start in range(0, len(sources), FILES_A_SLICE):
                    new = self._unknown(sources[start : start + FILES_A_SLICE], lost)
                    jobs: dict[Future[Sent], Source] = {asking.submit(self._refer, each): each for each in new}
                    for job in as_completed(jobs):
                        self._taken.note([jobs[job]], job.result())
            except BaseException:
                asking.shutdown(wait=False, cancel_futures=True)
                raise

    def _unknown(self, sources: Sequence[Source], lost: Collection[str]) -> list[Source]:
        """Note those that are stored; returns the others."""
        noted = [each.remembered.recall() if each.remembered else None for each in sources]
        known = stored(self._connection, sorted({digest for digest in noted if digest}))
        unknown = []
        for each, digest in zip(sources, noted, strict=True):
            photo = known.get(digest or "")
            if photo is None or photo in lost:
                unknown.append(each)
            else:
                self._taken.note([each], Sent("already_stored", photo))
        return unknown

    def _refer(self, source: Source) -> Sent:
        fields = fields_of(source, lane=self._lane, said=source.said())
        sent = refer(self._connection, {**announced(fields), "place": source.place}, what=source.file)
        if sent.sha256 and source.remembered:
            source.remembered.keep(sent.sha256)
        return sent


def refer(connection: Connection, file: Mapping[str, Any], *, what: str) -> Sent:
    """Have the gallery take a file in where it lies; it reads it once, which takes as long as that takes.

    Raises:
        UnreachableError: The gallery, or the bucket, stays away.
        CommandError: It refuses more than this file, as when it may not refer to the bucket.
    """

    def post() -> httpx.Response:
        return connection.client.post("/api/v1/uploads/in-place", json=file, timeout=UNTIL_CHECKED)

    answer, again = until_answered(post, what=what)
    if answer.is_success:
        return told(answer.json(), again=again)
    if answer.status_code not in FILE_REFUSED:
        raise refusal(answer)
    return told({**problem_of(answer), "status": "rejected"}, again=again)
