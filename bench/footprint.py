"""What a photo weighs: in the database by table and index, in the vector index, on the bus, as blobs.

Usage: python bench/footprint.py [--photos 300]

A young database is mostly empty pages. So typical photos are imported in two parts, and what the second part added is
divided by its photos; a relation's share is exact to one page of 8 KiB over all of them. Sizes are as imports and
VACUUM leave them, room of dead rows included. Writes bench/results/footprint.json.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import numpy as np
import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from pipeline import make_photos  # noqa: E402  # beside this file
from process_cost import proportional_memory  # noqa: E402
from support.command import Gallery, packs  # noqa: E402

from gallery.adapters.kafka_records import to_record  # noqa: E402
from gallery.adapters.qdrant_edge_vectors import QdrantEdgeVectors  # noqa: E402
from gallery.ports.bus import Message  # noqa: E402
from gallery.ports.vectors import Point  # noqa: E402

WARM_PHOTOS = 40
"""Imported before anything is measured: every table and index has its first pages then."""

DIMENSION = 512
VECTORS = 20_000
"""Put in as two halves, of which the second is weighed; the engine takes its files in pieces of several megabytes."""

PASSING = ("outbox", "inbox", "work", "pending", "intents")
"""Tables whose rows go again: facts with their day, the rest when it is done."""

Connection = psycopg.Connection[dict[str, Any]]

RELATIONS = """
    SELECT n.nspname AS schema,
           coalesce(whole_table.relname, t.relname) AS "table",
           CASE c.relkind WHEN 'i' THEN coalesce(whole.relname, c.relname) ELSE '' END AS "index",
           sum(CASE c.relkind WHEN 'i' THEN pg_relation_size(c.oid) ELSE pg_table_size(c.oid) END)::bigint AS bytes
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    JOIN pg_class t ON t.oid = coalesce(i.indrelid, c.oid)
    LEFT JOIN pg_inherits part ON part.inhrelid = c.oid
    LEFT JOIN pg_class whole ON whole.oid = part.inhparent
    LEFT JOIN pg_inherits part_table ON part_table.inhrelid = t.oid
    LEFT JOIN pg_class whole_table ON whole_table.oid = part_table.inhparent
    WHERE c.relkind IN ('r', 'i') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    GROUP BY 1, 2, 3
"""
"""Daily partitions count as the table that they are parts of; what is stored out of line as its table."""


def database(data: Path) -> Connection:
    """Connect to the database of a running gallery, as its owner."""
    sockets = quote(str(data / "postgres/sockets"), safe="")
    return psycopg.connect(f"postgresql://gallery@/postgres?host={sockets}", row_factory=dict_row, autocommit=True)


def relations(connection: Connection) -> Counter[str]:
    """Bytes by ``schema.table`` and ``schema.table index``, after the housekeeping that comes sooner or later."""
    connection.execute("VACUUM")
    rows = connection.execute(RELATIONS).fetchall()
    return Counter({f"{row['schema']}.{row['table']} {row['index']}".strip(): row["bytes"] for row in rows})


def growth(before: Mapping[str, int], after: Mapping[str, int], *, photos: int) -> dict[str, float]:
    """Bytes a photo of what grew, the largest first."""
    grown = Counter({name: size - before.get(name, 0) for name, size in after.items()})
    return {name: size / photos for name, size in grown.most_common() if size > 0}


def summed(by_relation: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The same by schema: what stays as tables and as indexes, and what passes."""
    sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name, size in by_relation.items():
        schema, _, relation = name.partition(".")
        table, _, index = relation.partition(" ")
        kind = "passing" if table in PASSING else "indexes" if index else "tables"
        sums[schema][kind] += size
    return {schema: dict(kinds) for schema, kinds in sums.items()}


def messages(connection: Connection, *, photos: int) -> dict[str, dict[str, float]]:
    """How many facts of each type a photo causes, and their size as records of Kafka, uncompressed."""
    count, size = Counter[str](), Counter[str]()
    for schema in ("upload", "metadata", "ml_worker", "search"):
        rows = connection.execute(
            SQL("SELECT id, topic, type, key, library_id, revision, at, traceparent, data FROM {}.outbox").format(
                Identifier(schema)
            )
        )
        for row in rows:
            record = to_record(Message(**row))
            headers = sum(len(name) + len(value) for name, value in record["headers"])
            count[row["type"]] += 1
            size[row["type"]] += len(record["key"]) + len(record["value"]) + headers
    return {name: {"a_photo": count[name] / photos, "bytes": size[name] / count[name]} for name in sorted(count)}


def blobs(connection: Connection) -> dict[str, float]:
    """Mean bytes of an original and of what is derived from it."""
    rows = connection.execute(
        "SELECT 'original' AS kind, avg(size_bytes)::float AS bytes FROM upload.originals"
        " UNION ALL SELECT kind, avg(size_bytes)::float FROM ml_worker.renditions GROUP BY kind"
    )
    return {row["kind"]: row["bytes"] for row in rows}


async def vector_index(folder: Path) -> dict[str, float]:
    """Bytes on disk and in memory that one more vector costs the index; made-up vectors weigh the same."""
    random = np.random.default_rng(1)
    library = UUID(int=1)

    def points() -> list[Point]:
        vectors = random.normal(size=(VECTORS // 2, DIMENSION)).astype(np.float32)
        return [Point(uuid4(), library, each / np.linalg.norm(each)) for each in vectors]

    async with QdrantEdgeVectors(folder) as index:
        await index.ensure("faces", dimension=DIMENSION)
        await index.upsert("faces", points())
        assert index.pid is not None
        disk, memory = _allocated(folder), proportional_memory([index.pid])
        await index.upsert("faces", points())
        grown = _allocated(folder) - disk, proportional_memory([index.pid]) - memory
    return {"disk": 2 * grown[0] / VECTORS, "memory": 2 * grown[1] / VECTORS, "raw": 4.0 * DIMENSION}


def _allocated(folder: Path) -> int:
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


def measure(root: Path, count: int) -> dict[str, Any]:
    """Import twice and look at what the second time has added."""
    photos = make_photos(root / "photos", WARM_PHOTOS + count)
    (root / "warm").mkdir()
    for path in photos[:WARM_PHOTOS]:
        path.rename(root / "warm" / path.name)
    gallery = Gallery(root / "data", packs(SHARED), patience_seconds=600)
    with gallery.up():
        gallery.json("import", root / "warm")
        with database(gallery.data) as connection:
            before = relations(connection)
            summary = gallery.json("import", root / "photos")
            by_relation = growth(before, relations(connection), photos=count)
            found = {"messages": messages(connection, photos=WARM_PHOTOS + count), "blobs": blobs(connection)}
    assert summary["done"] == count, "quality gate: every photo done"
    return {
        "photos": count,
        "faces_a_photo": summary["faces"] / (WARM_PHOTOS + count),
        **found,
        "database": {"total": sum(by_relation.values()), "schemas": summed(by_relation), "relations": by_relation},
    }


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gallery-footprint-") as folder:
        figures = measure(Path(folder), options.photos)
        figures["vector"] = asyncio.run(vector_index(Path(folder) / "vectors"))
    print(json.dumps(figures, indent=2))
    results = ROOT / "bench/results"
    results.mkdir(exist_ok=True)
    (results / "footprint.json").write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
