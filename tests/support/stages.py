"""What a running gallery is busy with at one moment, as its database and the kernel tell it."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.rows import DictRow, dict_row
from support.process_tree import Process

STAGES = (
    "uploading",
    "describing",
    "rendering",
    "looking",
    "keeping",
    "matching",
    "grouping",
    "resolving",
    "indexing",
)
"""From the first byte to the search index; ``keeping`` writes pictures and what was seen, ``matching`` compares new
faces, ``grouping`` the whole library, ``resolving`` takes proposals into the catalogue."""

WORKS_IN: Mapping[str, tuple[str, ...]] = {
    "parent": ("uploading", "describing", "resolving", "indexing"),
    "header": ("describing",),
    "analyse": ("rendering", "looking", "keeping"),
    "decoder": ("rendering",),
    "people": ("matching", "grouping"),
    "vectors": ("matching", "grouping"),
    "postgres": STAGES,
}
"""What each kind of process has a hand in. What a stage has under way is in doubt when one of its processes dies."""

# Photos in each stage; those that wait for one are in none. Leases and takings are those of the living as long as all
# that came before has ended.
_UNDER_WAY = """
    WITH leased AS (
        SELECT stage, subject, fence, library_id FROM ml_worker.work WHERE leased_until > now()
    ), new_faces AS (
        SELECT library_id, photo_id FROM ml_worker.faces
        WHERE NOT EXISTS (SELECT FROM ml_worker.proposals WHERE face_id = faces.id)
    ), people AS (
        SELECT library_id, EXISTS (SELECT FROM new_faces WHERE new_faces.library_id = leased.library_id) AS new
        FROM leased WHERE stage = 'people'
    ), analysed AS (
        SELECT EXISTS (SELECT FROM ml_worker.intents
                       WHERE photo_id = leased.subject AND intents.fence = leased.fence) AS writes
        FROM leased WHERE stage = 'analyse'
    )
    SELECT
        (SELECT count(*) FROM upload.intents WHERE NOT abandoned) AS uploading,
        (SELECT count(*) FROM upload.originals WHERE NOT EXISTS (
            SELECT FROM metadata.ledger
            WHERE ledger.photo_id = originals.photo_id AND stage = 'described' AND state <> 'pending')) AS describing,
        (SELECT count(*) FROM analysed WHERE NOT writes) AS in_hand,
        (SELECT count(*) FROM analysed WHERE writes) AS keeping,
        (SELECT count(DISTINCT photo_id) FROM new_faces JOIN people USING (library_id)) AS matching,
        (SELECT count(*) FROM people JOIN ml_worker.people_libraries USING (library_id)
         WHERE NOT new AND changed > grouped) AS grouping,
        (SELECT count(*) FROM ml_worker.outbox
         WHERE type = 'gallery.events.v1.FacesProposed' AND NOT EXISTS (
             SELECT FROM metadata.inbox WHERE subscription = 'metadata' AND event_id = outbox.id)) AS resolving,
        (SELECT count(*) FROM search.pending WHERE claim IS NOT NULL AND not_before > now()) AS indexing
"""


@dataclass(frozen=True)
class Computing:
    """Who of the process tree was on a processor, or waited for one."""

    main: frozenset[int]
    """Process ids whose main thread was."""
    beside: frozenset[int]
    """Process ids of which another thread was."""

    @classmethod
    def now(cls, tree: Iterable[Process]) -> "Computing":
        """Ask the kernel."""
        running = {process.pid: _running_threads(process.pid) for process in tree}
        return cls(
            frozenset(pid for pid, threads in running.items() if pid in threads),
            frozenset(pid for pid, threads in running.items() if threads - {pid}),
        )


def _running_threads(pid: int) -> set[int]:
    found = set()
    with suppress(OSError):  # it, or one of its threads, has just ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
            if state in "RD":
                found.add(int(thread.name))
    return found


class Lookout:
    """Looks into a gallery's database from outside."""

    def __init__(self, data: Path) -> None:
        # The fifth line is the folder of the socket (PostgreSQL manual, "File Layout").
        sockets = (data / "postgres/postmaster.pid").read_text().splitlines()[4]
        url = f"postgresql://gallery@/postgres?host={quote(sockets, safe='')}"
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def untried(self) -> bool:
        """Whether photos wait to be analysed, nobody works on them, and nothing so far counts as an attempt."""
        row: DictRow | None = self._connection.execute(
            "SELECT bool_and(attempt = 0 AND leased_until IS NULL) AS untried FROM ml_worker.work"
            " WHERE stage = 'analyse'"
        ).fetchone()
        assert row is not None
        return bool(row["untried"])

    def use_up_log(self) -> None:
        """Go on to the next segment of the write-ahead log: whoever writes next has to find room for it.

        A busy server may have come to the end of its segment, and of itself, before.
        """
        with suppress(psycopg.OperationalError):
            self._connection.execute("SELECT pg_switch_wal()")

    def under_way(self, tree: Iterable[Process], computing: Computing) -> dict[str, int]:
        """Count the photos in each stage, less the stages that have none.

        No row tells how far a leased photo is before its pictures are written: it is being rendered when a decoder
        computes, and looked at when a thread of the role beside its main one does, which is the models'.
        """
        row: DictRow | None = self._connection.execute(_UNDER_WAY).fetchone()
        assert row is not None
        in_hand = row.pop("in_hand")
        pids = {kind: {process.pid for process in tree if process.kind == kind} for kind in ("decoder", "analyse")}
        row["rendering"] = min(in_hand, len(pids["decoder"] & computing.main))
        row["looking"] = in_hand - row["rendering"] if pids["analyse"] & computing.beside else 0
        return {stage: row[stage] for stage in STAGES if row[stage]}
