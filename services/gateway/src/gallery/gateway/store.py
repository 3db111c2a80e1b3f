"""The local owner in Postgres."""

from contextlib import suppress

from psycopg.errors import UniqueViolation

from gallery.gateway.domain import Owner
from gallery.runtime.database import Database
from gallery.runtime.sql import Queries

queries = Queries.load("gallery.gateway")

LIBRARY_NAME = "Photos"


class PostgresOwners:
    """The one row of the local owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self) -> Owner | None:
        """The owner; None before the first start."""
        async with self._database.read() as connection:
            row = await (await connection.execute(queries.select_owner)).fetchone()
        return None if row is None else Owner(row["id"], row["library_id"], bytes(row["token_sha256"]))

    async def add(self, owner: Owner) -> None:
        """Keep a new owner and make the library; the first of several gateways that start together wins."""
        with suppress(UniqueViolation):
            await self._add(owner)

    async def _add(self, owner: Owner) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(queries.insert_library, {"library_id": owner.library_id, "name": LIBRARY_NAME})
            await tx.execute(
                queries.insert_owner,
                {"id": owner.id, "library_id": owner.library_id, "token_sha256": owner.token_sha256},
            )

    async def change_token(self, token_sha256: bytes) -> None:
        """From now on only the token of this digest opens the gate."""
        async with self._database.transaction() as tx:
            await tx.execute(queries.update_token, {"token_sha256": token_sha256})
