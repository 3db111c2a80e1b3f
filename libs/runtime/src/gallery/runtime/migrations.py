"""Bringing one schema up to date with numbered SQL files."""

from collections.abc import Iterator, Sequence
from importlib.resources import files

from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from gallery.runtime.errors import GalleryError, UnfitEngineError
from gallery.runtime.server import reached


class StaleSchemaError(GalleryError):
    """The database is newer than this program: start the newer version, or restore a backup. Or older: migrate it."""


def _scripts(package: str) -> Iterator[tuple[str, str]]:
    folder = files(package) / "migrations"
    for script in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if script.name.endswith(".sql"):
            yield f"{package}/{script.name}", script.read_text()


async def check(url: str, *, schema: str, packages: Sequence[str]) -> None:
    """Make sure that a schema has all that this program needs; processes that share it with others do not change it.

    A newer one will do: while a new version is rolled out, some of the old one start again.

    Raises:
        StaleSchemaError: It is older.
        UnfitEngineError: The server is not there, or not for us.
    """
    scripts = dict(_all_scripts(packages))
    async with reached(url) as connection:
        found = await (await connection.execute("SELECT to_regclass(%s)", [f"{schema}.migrations"])).fetchone()
        applied = await _applied(connection, schema) if found and found[0] else set()
    if missing := scripts.keys() - applied:
        raise StaleSchemaError(f"schema {schema} lacks {', '.join(sorted(missing))}: migrate it first")


async def migrate(url: str, *, schema: str, packages: Sequence[str]) -> None:
    """Apply the runtime's own scripts, then those of each package, once each, all or nothing.

    Raises:
        StaleSchemaError: The schema has had scripts that this program does not know.
        UnfitEngineError: The server is not there, or not for us, or the schema is another's.
    """
    scripts = dict(_all_scripts(packages))
    async with reached(url) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"migrate {schema}"])
        await _refuse_foreign(connection, schema)
        await connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema)))
        await connection.execute(SQL("SET LOCAL search_path = {}").format(Identifier(schema)))
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
        )
        applied = await _applied(connection, schema)
        if unknown := applied - scripts.keys():
            raise StaleSchemaError(f"schema {schema} is newer than this program: {', '.join(sorted(unknown))}")
        for name, script in scripts.items():
            if name not in applied:
                await connection.execute(script.encode())
                await connection.execute("INSERT INTO migrations (name) VALUES (%s)", [name])


async def _refuse_foreign(connection: AsyncConnection[tuple[str]], schema: str) -> None:
    """Ours has the table of migrations, or nothing at all yet."""
    cursor = await connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) ORDER BY relname", [f'"{schema}"']
    )
    relations = {name for (name,) in await cursor.fetchall()}
    if relations and "migrations" not in relations:
        raise UnfitEngineError(
            f"the schema {schema} in this database is another's ({min(relations)} is in it);"
            " name a database of our own in GALLERY_DATABASE_URL"
        )


def _all_scripts(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    return (entry for package in ("gallery.runtime", *packages) for entry in _scripts(package))


async def _applied(connection: AsyncConnection[tuple[str]], schema: str) -> set[str]:
    cursor = await connection.execute(SQL("SELECT name FROM {}.migrations").format(Identifier(schema)))
    return {name for (name,) in await cursor.fetchall()}
