"""Whether PostgreSQL is there, new enough, and what of ours it has."""

from collections.abc import Sequence

from gallery.adapters.findings import Finding
from gallery.runtime.errors import UnfitEngineError
from gallery.runtime.migrations import StaleSchemaError, check
from gallery.runtime.server import reached

_SIZE = "SELECT pg_size_pretty(pg_database_size(current_database()))"
_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s) ORDER BY nspname"


async def probe(url: str, *, services: Sequence[str]) -> list[Finding]:
    """Look, and change nothing. How much room its disk has a server does not say.

    Args:
        url: Of the database.
        services: Names of the schemas, some or all of which are in it.
    """
    try:
        async with reached(url) as connection:
            version = connection.info.parameter_status("server_version")
            ((size,),) = await (await connection.execute(_SIZE)).fetchall()
            schemas = [name for (name,) in await (await connection.execute(_SCHEMAS, [list(services)])).fetchall()]
    except UnfitEngineError as error:
        sentence, _, advice = str(error).partition("; ")
        return [Finding("postgres", ok=False, found=sentence, advice=advice)]
    there = Finding("postgres", ok=True, found=f"version {version}, {size} of data")
    return [there, *[await _schema(url, name) for name in schemas]]


async def _schema(url: str, name: str) -> Finding:
    advice = f"run gallery-{name.replace('_', '-')} migrate"
    try:
        await check(url, schema=name, packages=[f"gallery.{name}"])
    except StaleSchemaError as error:
        return Finding(f"schema {name}", ok=False, found=str(error), advice=advice)
    return Finding(f"schema {name}", ok=True, found="up to date")
