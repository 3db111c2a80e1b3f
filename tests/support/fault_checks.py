"""What must hold after a run of faults, asked of every store beside the product's own answers."""

import asyncio
import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import psycopg
from psycopg.rows import dict_row
from support.distributed import BUCKET, TOKEN, Distributed

from gallery.adapters.qdrant_edge_vectors import QdrantEdgeVectors
from gallery.adapters.s3_staging import STAGING

SETTLES_WITHIN_SECONDS = 600
LOOK_EVERY_SECONDS = 0.5
PACK = "dlib"
ANSWERED_AT_ONCE = 1000

UNFINISHED = """
    SELECT count(*) AS photos FROM upload.originals
    WHERE photo_id <> ALL(%(but)s) AND NOT EXISTS (
        SELECT FROM metadata.photos WHERE id = photo_id AND revision > 0 AND revision = indexed_revision
            AND NOT EXISTS (SELECT FROM metadata.ledger WHERE ledger.photo_id = id AND state <> 'done'))
"""
OLD_DOCUMENTS = """
    SELECT photos.id FROM metadata.photos LEFT JOIN search.documents ON id = photo_id
    WHERE catalogue_revision IS DISTINCT FROM photos.revision
"""
SAID_LATE = """
    SELECT * FROM (
        SELECT key, revision, lag(revision) OVER (PARTITION BY type, key ORDER BY epoch, xid, seq) AS before
        FROM {schema}.outbox
    ) AS said
    WHERE before >= revision
"""
"""Facts whose revision is not above that of the one before them."""
SHARED_FACES = "SELECT photo_id FROM ml_worker.faces GROUP BY photo_id, box HAVING count(*) > 1"
UNRESOLVED_FACES = """
    SELECT id FROM ml_worker.faces AS found FULL JOIN metadata.faces AS resolved USING (id)
    WHERE found.id IS NULL OR resolved.id IS NULL
"""
BLOBS = "SELECT blob_key, sha256 FROM upload.originals UNION ALL SELECT blob_key, sha256 FROM ml_worker.renditions"
INTENTS = "SELECT blob_key FROM upload.intents UNION ALL SELECT blob_key FROM ml_worker.intents"


@dataclass
class Checker:
    """Holds every store to the journal.

    Attributes:
        gallery: Whose stores they are.
        journal: The id of each acknowledged photo by its sha256.
        generated: How many of them nobody has looked at, so that they have no renditions.
    """

    gallery: Distributed
    journal: Mapping[bytes, UUID]
    generated: int

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Ask the database."""
        with psycopg.connect(self.gallery.engines.postgres.url, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def settle(self, *, but: Collection[UUID] = ()) -> None:
        """Wait until every photo has ended and can be found as it is, except for some."""
        deadline = time.monotonic() + SETTLES_WITHIN_SECONDS
        while unfinished := self.rows(UNFINISHED, but=list(but))[0]["photos"]:
            assert time.monotonic() < deadline, f"{unfinished} photos did not come to their end"
            time.sleep(LOOK_EVERY_SECONDS)

    def check_originals(self) -> None:
        """Each acknowledged photo is there once, under the id that was told, and its fact was said once."""
        stored = self.rows("SELECT sha256, photo_id FROM upload.originals")
        assert {bytes(row["sha256"]): row["photo_id"] for row in stored} == dict(self.journal)
        assert len(stored) == len(self.journal)
        said = self.rows("SELECT key FROM upload.outbox")
        assert sorted(row["key"] for row in said) == sorted(map(str, self.journal.values()))

    def check_blobs(self) -> None:
        """Each original and rendition lies in the bucket with its bytes, and nothing else but what will be swept."""
        expected = {row["blob_key"]: bytes(row["sha256"]) for row in self.rows(BLOBS)}
        assert len(expected) == 3 * len(self.journal) - 2 * self.generated
        swept = {row["blob_key"] for row in self.rows(INTENTS)}
        found = dict(_objects(self.gallery.engines.s3.data / BUCKET))
        wrong = [key for key, digest in expected.items() if found.get(key) != digest]
        assert not wrong, f"{len(wrong)} are not there or have other bytes, such as {wrong[0]}"
        staged = {key for key in found if key.startswith(STAGING)}  # swept by their age
        strays = sorted(found.keys() - expected.keys() - swept - staged)
        assert not strays, f"{len(strays)} belong to nobody, such as {strays[0]}"

    def check_catalogue(self) -> None:
        """Each has one row with every stage done, was analysed once, and is counted once."""
        ids = {row["id"] for row in self.rows("SELECT id FROM metadata.photos WHERE uploaded_at IS NOT NULL")}
        assert ids == set(self.journal.values())
        assert self.rows("SELECT DISTINCT state FROM metadata.ledger") == [{"state": "done"}]
        assert self.rows("SELECT id FROM ml_worker.photos WHERE revision <> 1") == []
        assert self.rows(SHARED_FACES) == []
        assert self.rows(UNRESOLVED_FACES) == []
        status = self._ask("/status")
        assert status["photos"] == len(self.journal)
        assert status["consistent"]

    def check_facts(self) -> None:
        """No revision of anything is said twice, and none after a newer one."""
        for schema in ("upload", "metadata", "ml_worker"):
            assert self.rows(SAID_LATE.format(schema=schema)) == []

    def check_index(self) -> None:
        """Postgres and Elasticsearch have each photo's newest document, and search finds all."""
        assert self.rows(OLD_DOCUMENTS) == []
        kept = {
            row["photo_id"]: row["revision"] for row in self.rows("SELECT photo_id, revision FROM search.documents")
        }
        assert kept.keys() == set(self.journal.values())
        assert self._indexed() == kept
        assert self._ask("/search?q=date:1900..2100&limit=1")["total"] == len(self.journal)

    def check_vectors(self) -> None:
        """Each face finds itself among the vectors; their process must have ended."""
        faces = self.rows("SELECT id, library_id, vector FROM ml_worker.faces WHERE ignored IS NULL")
        assert faces
        asyncio.run(self._find_faces(faces))

    async def _find_faces(self, faces: Collection[Mapping[str, Any]]) -> None:
        async with QdrantEdgeVectors(self.gallery.folder / "data/vectors") as vectors:
            await vectors.ensure(PACK, dimension=len(bytes(next(iter(faces))["vector"])) // 4)
            for face in faces:
                vector = np.frombuffer(bytes(face["vector"]), "<f4")
                (nearest, *_) = await vectors.search(PACK, face["library_id"], vector, limit=1)
                assert nearest.id == face["id"] or nearest.similarity > 1 - 1e-6
            libraries = {face["library_id"] for face in faces}
            assert sum([await vectors.count(PACK, each) for each in libraries]) == len(faces)

    def _indexed(self) -> dict[UUID, int]:
        """Revisions of the documents that Elasticsearch itself has."""
        url = f"{self.gallery.engines.elasticsearch.url}/photos"
        after: list[Any] = []
        found: dict[UUID, int] = {}
        httpx.post(f"{url}/_refresh").raise_for_status()
        question = {"query": {"term": {"live": True}}, "sort": ["photo_id"], "version": True, "_source": ["photo_id"]}
        while True:
            page = {**question, "size": ANSWERED_AT_ONCE, **({"search_after": after} if after else {})}
            hits = httpx.post(f"{url}/_search", json=page, timeout=30).raise_for_status().json()["hits"]["hits"]
            found |= {UUID(hit["_source"]["photo_id"]): hit["_version"] for hit in hits}
            if len(hits) < ANSWERED_AT_ONCE:
                return found
            after = hits[-1]["sort"]

    def _ask(self, path: str) -> Any:
        headers = {"authorization": f"Bearer {TOKEN}"}
        return httpx.get(f"{self.gallery.gateway}/api/v1{path}", headers=headers, timeout=60).raise_for_status().json()


def _objects(bucket: Path) -> Iterator[tuple[str, bytes]]:
    """Keys and digests of all that lies in a bucket whose store keeps objects as files."""
    for path in bucket.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(bucket)), hashlib.sha256(path.read_bytes()).digest()
