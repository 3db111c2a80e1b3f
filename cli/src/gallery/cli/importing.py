"""Importing: hash, ask what is known, send the rest, wait until everything has ended, sum up."""

import hashlib
import time
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import httpx

from gallery.cli.connection import Connection, refusal
from gallery.cli.errors import CommandError
from gallery.cli.walking import Found, Rejected, Source, chunks

AT_ONCE = 4
"""Uploads in flight: enough to fill two cores, few enough to stay fair."""
HASHES_A_QUESTION = 1000
IDS_A_QUESTION = 2000
ATTEMPTS = 6
"""Of one upload; with pauses that double from a quarter of a second, about eight seconds of a bad network."""
ASK_EVERY_SECONDS = 0.2
TRY_AGAIN = frozenset({429, 502, 503, 504})


class Progress(Protocol):
    """Where an import shows how far it is."""

    def begin(self, what: str, total: int) -> None:
        """Start a new bar."""
        ...

    def advance(self, done: int) -> None:
        """Say how many of the current bar are done."""
        ...


@dataclass(slots=True)
class Summary:
    """What an import came to; the same names as in its JSON."""

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


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file at the upload."""

    source: Source
    status: str
    photo: str | None = None
    code: str = ""
    detail: str = ""


class Import:
    """One run of ``gallery import``."""

    def __init__(self, connection: Connection, *, lane: str, progress: Progress) -> None:
        self._connection = connection
        self._lane = lane
        self._progress = progress

    def run(self, found: Found, *, wait: bool) -> Summary:
        """Import what was found.

        Raises:
            CommandError: The gallery cannot take more, or went away; a second run goes on where this one stopped.
        """
        began = time.monotonic()
        summary = Summary(ignored=found.ignored, rejected=list(found.rejected))
        summary.found = len(found.sources) + len(found.rejected)
        hashed = self._hash(found.sources, summary)
        known = self._known({digest for _, digest in hashed})
        accepted = self._send_all(_new_ones(hashed, known, summary), summary)
        if wait:
            self._wait({known[digest] for _, digest in hashed if digest in known}, accepted, summary)
        summary.seconds = round(time.monotonic() - began, 1)
        return summary

    def _hash(self, sources: Sequence[Source], summary: Summary) -> list[tuple[Source, str]]:
        """Pair each source with its digest; one that cannot be read is rejected."""
        self._progress.begin("reading", len(sources))
        hashed: list[tuple[Source, str]] = []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for count, (source, digest) in enumerate(zip(sources, pool.map(_digest, sources), strict=True), start=1):
                if digest is None:
                    summary.rejected.append(Rejected(source.file, "unreadable", "the file cannot be read"))
                else:
                    hashed.append((source, digest))
                self._progress.advance(count)
        return hashed

    def _known(self, digests: set[str]) -> dict[str, str]:
        """Ids of the photos that are stored already, by their digest."""
        known: dict[str, str] = {}
        ordered = sorted(digests)
        for start in range(0, len(ordered), HASHES_A_QUESTION):
            part = ordered[start : start + HASHES_A_QUESTION]
            known |= self._connection.ask("POST", "/uploads/exists", json={"sha256": part})["known"]
        return known

    def _send_all(self, news: Sequence[tuple[Source, str]], summary: Summary) -> dict[str, Source]:
        """Send files; returns the accepted ones by their photo's id."""
        accepted: dict[str, Source] = {}
        self._progress.begin("uploading", len(news))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = [pool.submit(self._send, source, digest) for source, digest in news]
            try:
                for count, job in enumerate(jobs, start=1):
                    _note(job.result(), accepted, summary)
                    self._progress.advance(count)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return accepted

    def _send(self, source: Source, digest: str) -> Sent:
        """Send one file, again when the network or a neighbour was away."""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.25 * 2 ** (attempt - 1))
            try:
                answer = self._post(source, digest)
            except httpx.TransportError as error:
                reason = str(error)
                continue
            except OSError as error:
                return Sent(source, "rejected", code="unreadable", detail=error.strerror or "the file cannot be read")
            if answer.is_success:
                (result,) = answer.json()["uploads"]
                return Sent(
                    source, result["status"], result.get("photo"), result.get("code") or "", result.get("detail") or ""
                )
            if answer.status_code not in TRY_AGAIN:
                raise refusal(answer)
            reason = f"status {answer.status_code}"
        raise CommandError(f"{source.file} could not be sent ({reason}); run the import again to go on")

    def _post(self, source: Source, digest: str) -> httpx.Response:
        fields = {
            "path": source.file,
            "sha256": digest,
            "modified": source.modified.isoformat(),
            "lane": self._lane,
        }
        with source.opened() as opened:
            return self._connection.client.post("/api/v1/uploads", data=fields, files={"file": ("file", opened)})

    def _wait(self, known: set[str], accepted: dict[str, Source], summary: Summary) -> None:
        """Wait until every photo of this import has ended and the faces are grouped."""
        photos = sorted(known | accepted.keys())
        self._progress.begin("looking at photos", len(photos))
        while (pending := self._pending(photos)) > 0:
            self._progress.advance(len(photos) - pending)
            time.sleep(ASK_EVERY_SECONDS)
        self._progress.advance(len(photos))
        self._progress.begin("grouping faces", 1)
        while photos and self._still_settling():
            time.sleep(ASK_EVERY_SECONDS)
        self._progress.advance(1)
        self._sum_up(accepted, summary)

    def _pending(self, photos: Sequence[str]) -> int:
        return sum(answer["pending"] for answer in self._ends(photos))

    def _ends(self, photos: Sequence[str]) -> list[dict[str, Any]]:
        return [
            self._connection.ask("POST", "/photos/progress", json={"ids": photos[start : start + IDS_A_QUESTION]})
            for start in range(0, len(photos), IDS_A_QUESTION)
        ]

    def _still_settling(self) -> bool:
        """Whether faces wait for their group, or a changed group for the search index."""
        status = self._connection.get("/status")
        return bool(status["grouping"]["pending"] or status["stages"]["indexed"]["pending"])

    def _sum_up(self, accepted: dict[str, Source], summary: Summary) -> None:
        for answer in self._ends(sorted(accepted)):
            summary.done += answer["done"]
            summary.failed += answer["failed"]
            summary.rejected += [
                Rejected(accepted[entry["photo_id"]].file, entry["code"], entry["detail"])
                for entry in answer["rejected"]
            ]
        people = self._connection.get("/people")
        groups = [person["faces"] for person in people["people"]]
        summary.people = sum(faces > 1 for faces in groups)
        summary.unassigned_faces = people["unassigned_faces"]
        summary.faces = sum(groups) + summary.unassigned_faces


def _digest(source: Source) -> str | None:
    digest = hashlib.sha256()
    try:
        with source.opened() as opened:
            for piece in chunks(opened):
                digest.update(piece)
    except (OSError, zipfile.BadZipFile, zlib.error):
        return None
    return digest.hexdigest()


def _new_ones(
    hashed: Sequence[tuple[Source, str]], known: dict[str, str], summary: Summary
) -> list[tuple[Source, str]]:
    """Leave out what is stored; of equal files the first is sent."""
    seen = set(known)
    news = []
    for source, digest in hashed:
        if digest in seen:
            summary.already_stored += 1
        else:
            seen.add(digest)
            news.append((source, digest))
    return news


def _note(sent: Sent, accepted: dict[str, Source], summary: Summary) -> None:
    if sent.status == "accepted" and sent.photo:
        summary.accepted += 1
        accepted[sent.photo] = sent.source
    elif sent.status == "already_stored":
        summary.already_stored += 1
    else:
        summary.rejected.append(Rejected(sent.source.file, sent.code, sent.detail))
