"""Bytes are counted once, at the table that they belong to."""

import psycopg
import pytest
from footprint import growth, relations, summed
from psycopg.rows import dict_row

from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.runtime.partitions import renew


async def test_daily_partitions_count_as_their_table(database_url: str) -> None:
    await migrate(database_url, schema="upload", packages=[])
    async with Database.open(database_url, schema="upload") as database:
        await renew(database)
    with psycopg.connect(database_url, row_factory=dict_row, autocommit=True) as connection:
        found = relations(connection)
        row = connection.execute(
            "SELECT sum(pg_total_relation_size(oid))::bigint AS bytes FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'upload'::regnamespace"
        ).fetchone()
    assert {"upload.outbox", "upload.outbox outbox_order", "upload.work work_next"} <= set(found)
    assert not [name for name in found if "_20" in name]
    assert row is not None
    assert sum(found.values()) == row["bytes"]


def test_growth_is_of_what_was_added() -> None:
    before = {"a.photos": 8192, "a.libraries": 8192}
    after = {"a.photos": 8192 * 11, "a.libraries": 8192, "a.tags": 4096}
    assert growth(before, after, photos=10) == {"a.photos": 8192, "a.tags": 409.6}


def test_what_passes_is_told_from_what_stays() -> None:
    found = summed({"a.photos": 10, "a.photos photos_pkey": 2, "a.outbox": 5, "a.outbox outbox_order": 1, "b.tags": 3})
    assert found == {
        "a": {"tables": pytest.approx(10), "indexes": pytest.approx(2), "passing": pytest.approx(6)},
        "b": {"tables": pytest.approx(3)},
    }
