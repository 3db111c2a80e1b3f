"""Schemas come up to date once, whole, and never backwards."""

import asyncio
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from support.waiting import expect_soon

from gallery.runtime import partitions
from gallery.runtime.background import background
from gallery.runtime.database import Database
from gallery.runtime.migrations import StaleSchemaError, check, migrate
from gallery.runtime.sql import Queries


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of a service whose migrations the test writes."""
    scripts = tmp_path / "made_up_service" / "migrations"
    scripts.mkdir(parents=True)
    (scripts.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "made_up_service", raising=False)
    (scripts / "0001_things.sql").write_text("CREATE TABLE things (n int); INSERT INTO things VALUES (1);")
    return scripts


async def things(url: str) -> list[int]:
    async with Database.open(url, schema="made_up") as database, database.read() as connection:
        cursor = await connection.execute("SELECT n FROM things ORDER BY n")
        return [row["n"] for row in await cursor.fetchall()]


async def bring_up(url: str) -> None:
    await migrate(url, schema="made_up", packages=["made_up_service"])


async def test_a_script_is_applied_once_and_a_new_one_later(database_url: str, package: Path) -> None:
    await bring_up(database_url)
    await bring_up(database_url)
    (package / "0002_more.sql").write_text("INSERT INTO things VALUES (2)")
    await bring_up(database_url)
    assert await things(database_url) == [1, 2]


async def test_two_starts_at_once_apply_it_once(database_url: str, package: Path) -> None:
    assert package.is_dir()
    await asyncio.gather(*(bring_up(database_url) for _ in range(4)))
    assert await things(database_url) == [1]


async def test_a_script_that_fails_leaves_nothing(database_url: str, package: Path) -> None:
    (package / "0002_wrong.sql").write_text("INSERT INTO things VALUES (2); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await bring_up(database_url)
    (package / "0002_wrong.sql").unlink()
    await bring_up(database_url)
    assert await things(database_url) == [1]


async def test_a_schema_of_a_newer_program_is_refused(database_url: str, package: Path) -> None:
    await bring_up(database_url)
    (package / "0001_things.sql").rename(package / "0001_other.sql")
    with pytest.raises(StaleSchemaError, match="newer than this program"):
        await bring_up(database_url)


async def test_a_process_that_shares_the_schema_refuses_an_older_one(database_url: str, package: Path) -> None:
    with pytest.raises(StaleSchemaError, match="migrate it first"):
        await check(database_url, schema="made_up", packages=["made_up_service"])
    await bring_up(database_url)
    await check(database_url, schema="made_up", packages=["made_up_service"])
    (package / "0002_more.sql").write_text("INSERT INTO things VALUES (2)")
    with pytest.raises(StaleSchemaError, match="0002_more"):
        await check(database_url, schema="made_up", packages=["made_up_service"])
    assert await things(database_url) == [1], "it changes nothing itself"


async def test_days_are_made_ahead_and_dropped_whole(database_url: str) -> None:
    await migrate(database_url, schema="made_up", packages=[])

    async def days(database: Database) -> list[str]:
        async with database.read() as connection:
            cursor = await connection.execute(
                "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'outbox'::regclass"
            )
            return sorted(row["name"] for row in await cursor.fetchall())

    async with Database.open(database_url, schema="made_up") as database:
        await partitions.renew(database, today=date(2026, 2, 27))
        assert days_of(await days(database)) == ["20260226", "20260227", "20260228", "20260301"]
        await partitions.make_day(database, "inbox", datetime(2020, 1, 1, tzinfo=UTC))
        later = date(2026, 2, 27) + partitions.RETENTION + timedelta(days=1)
        await partitions.renew(database, today=later)
        assert days_of(await days(database))[0] == "20260226"
        await partitions.drop_old(database, today=later)
        assert days_of(await days(database))[0] == "20260228"


async def test_days_are_made_once_the_database_is_back(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(database_url, schema="made_up", packages=[])
    monkeypatch.setattr(partitions, "LOOK_EVERY", timedelta(milliseconds=1))
    renew, attempts = partitions.renew, 0

    async def away_at_first(database: Database, *, today: date) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise psycopg.errors.DiskFull("no space left on device")
        await renew(database, today=today)

    async def made() -> bool:
        async with database.read() as connection:
            cursor = await connection.execute("SELECT FROM pg_inherits WHERE inhparent = 'outbox'::regclass")
            return cursor.rowcount > 0

    monkeypatch.setattr(partitions, "renew", away_at_first)
    async with (
        Database.open(database_url, schema="made_up") as database,
        background(days=partitions.keep_renewing(database)),
    ):
        await expect_soon(made)


def days_of(names: list[str]) -> list[str]:
    return [name.removeprefix("outbox_") for name in names]


def test_queries_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_with_queries"
    package.mkdir()
    (package / "queries.sql").write_text("-- name: one\n-- why\nSELECT 1\n\n-- name: two\nSELECT %(n)s\n")
    monkeypatch.syspath_prepend(tmp_path)
    queries = Queries.load("package_with_queries")
    assert "SELECT 1" in queries.one.as_string(None)
    assert queries.two.as_string(None).strip() == "SELECT %(n)s"
    with pytest.raises(AttributeError, match="three"):
        _ = queries.three
