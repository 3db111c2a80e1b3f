"""People: who there is, and what they are called."""

import unicodedata
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation

from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PersonNamed
from gallery.metadata.catalogue import queries
from gallery.metadata.errors import NameTakenError, NameUnfitError, PersonUnknownError
from gallery.runtime.database import Database, Transaction
from gallery.runtime.outbox import Fact, append

LONGEST_NAME = 200


class People:
    """The use cases around people of all libraries."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def present(self, library_id: UUID) -> list[dict[str, Any]]:
        """List everybody who has a name or a face, the most seen first."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.named_or_present_people, {"library_id": library_id})
            return await cursor.fetchall()

    async def unassigned_faces(self, library_id: UUID) -> int:
        """Count the faces that belong to nobody so far, those with a mere suggestion included."""
        async with self._database.read() as connection:
            row = await (await connection.execute(queries.library, {"library_id": library_id})).fetchone()
        return int(row["unassigned_faces"]) if row else 0

    async def query(self, library_id: UUID, ids: Sequence[UUID]) -> list[dict[str, Any]]:
        """Give names and counts by id; who is unknown is left out."""
        async with self._database.read() as connection:
            cursor = await connection.execute(queries.people_by_id, {"library_id": library_id, "ids": list(ids)})
            return await cursor.fetchall()

    async def name(self, library_id: UUID, person_id: UUID, name: str | None) -> dict[str, Any]:
        """Give a person a name, another one, or none; the same again changes nothing.

        One name stands for one person, whatever its case and spacing: two groups that are one person want merging.

        Raises:
            PersonUnknownError: There is no such person here.
            NameUnfitError: Empty, too long, or unprintable.
            NameTakenError: Somebody else has it.
        """
        tidy = None if name is None else tidy_name(name)
        try:
            async with self._database.transaction(keys=[str(person_id)]) as tx:
                await self._rename(tx, library_id, person_id, tidy)
        except UniqueViolation:  # somebody else took it between our look and our commit
            await self._refuse_taken(library_id, person_id, tidy)
        return (await self.query(library_id, [person_id]))[0]

    async def _rename(self, tx: Transaction, library_id: UUID, person_id: UUID, name: str | None) -> None:
        asked = {"id": person_id, "library_id": library_id, "name_key": name and name_key(name)}
        person = await (await tx.execute(queries.lock_person, asked)).fetchone()
        if person is None:
            raise PersonUnknownError
        if person["name"] == name:
            return
        holder = await (await tx.execute(queries.holder_of_name, asked)).fetchone()
        if holder is not None:
            raise NameTakenError(holder["id"])
        library = await (await tx.execute(queries.raise_decisions, asked)).fetchone()
        decisions = int(library["decisions_revision"]) if library else 0
        given = asked | {"name": name, "decisions_revision": decisions}
        named = await (await tx.execute(queries.name_person, given)).fetchone()
        faces = await (await tx.execute(queries.assigned_faces, asked)).fetchall()
        body = PersonNamed(
            person_id=str(person_id), decisions_revision=decisions, face_ids=[str(face["id"]) for face in faces]
        )
        await tell_named(tx, library_id, body, revision=named["revision"] if named else 0)

    async def _refuse_taken(self, library_id: UUID, person_id: UUID, name: str | None) -> None:
        asked = {"id": person_id, "library_id": library_id, "name_key": name and name_key(name)}
        async with self._database.read() as connection:
            holder = await (await connection.execute(queries.holder_of_name, asked)).fetchone()
        raise NameTakenError(holder["id"] if holder else person_id)

    async def say_again(self, library_id: UUID) -> int:
        """Tell of every name as it is now, for those who fell behind; returns how many."""
        async with self._database.read() as connection:
            people = await (await connection.execute(queries.named_people, {"library_id": library_id})).fetchall()
        for person in people:
            async with self._database.transaction(keys=[str(person["id"])]) as tx:
                await _say_name_again(tx, library_id, person["id"])
        return len(people)


async def _say_name_again(tx: Transaction, library_id: UUID, person_id: UUID) -> None:
    asked = {"id": person_id, "library_id": library_id}
    person = await (await tx.execute(queries.lock_person, asked)).fetchone()
    if person is None:
        return
    faces = await (await tx.execute(queries.assigned_faces, asked)).fetchall()
    body = PersonNamed(
        person_id=str(person_id),
        decisions_revision=person["decided_revision"],
        face_ids=[str(face["id"]) for face in faces],
    )
    await tell_named(tx, library_id, body, revision=person["revision"])


async def tell_named(tx: Transaction, library_id: UUID, body: PersonNamed, *, revision: int) -> None:
    """Say that a person's name is as of this revision; the name itself stays here."""
    fact = Fact(topic=Topic.PEOPLE, key=body.person_id, library_id=library_id, revision=revision, body=body)
    await append(tx, fact)


def tidy_name(name: str) -> str:
    """Trim and join blanks.

    Raises:
        NameUnfitError: Nothing is left, it is longer than 200 characters, or it holds control characters.
    """
    tidy = unicodedata.normalize("NFC", " ".join(name.split()))
    if not tidy:
        raise NameUnfitError("the name is empty")
    if len(tidy) > LONGEST_NAME:
        raise NameUnfitError(f"the name is longer than {LONGEST_NAME} characters")
    if not tidy.isprintable():
        raise NameUnfitError("the name holds characters that cannot be shown")
    return tidy


def name_key(name: str) -> str:
    """The name as names are compared: compatible forms are one, case does not count."""
    return unicodedata.normalize("NFKC", name).casefold()
