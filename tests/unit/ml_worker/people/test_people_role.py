"""The people role on a real database: new faces, canonical groups, decisions that stick, leases that are kept."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
import pytest_asyncio
from support.measured import Growth

from gallery.adapters.memory_vectors import MemoryVectors
from gallery.events.v1 import analysis_pb2, catalogue_pb2
from gallery.ml_worker.packs import FacePack, read_packs
from gallery.ml_worker.people.decisions import face_judged, person_named
from gallery.ml_worker.people.role import PeopleRole
from gallery.ml_worker.people.store import PeopleStore, say_again
from gallery.ports.bus import Message
from gallery.ports.vectors import Vector
from gallery.runtime import partitions
from gallery.runtime.consumer import Delivery
from gallery.runtime.database import Database
from gallery.runtime.ids import uuid7
from gallery.runtime.leases import Job, Lane, Leased, LeaseLostError, WorkQueue
from gallery.runtime.migrations import migrate

PACKS = read_packs(Path(__file__).resolve().parents[4] / "packs")
LIBRARY = UUID(int=7)
DIMENSION = 32


def pack() -> FacePack:
    chosen = PACKS["scrfd-edgeface"]
    assert isinstance(chosen, FacePack)
    return chosen.model_copy(update={"embedder": chosen.embedder.model_copy(update={"dimension": DIMENSION})})


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, schema="ml_worker", packages=["gallery.ml_worker"])
    async with Database.open(database_url, schema="ml_worker") as opened:
        await partitions.renew(opened)
        yield opened


PHOTO = """
    INSERT INTO photos (id, library_id, sha256, blob_key, size_bytes, media_type, width, height)
    VALUES (%s, %s, %s, 'key', 1, 'image/jpeg', 800, 600)
"""
FACE = """
    INSERT INTO faces (id, library_id, photo_id, box, vector, ignored, pack, score, quality, landmarks)
    VALUES (%s, %s, %s, %s, %s, %s, 'scrfd-edgeface', 0.9, 0.9, '{}')
"""


class Album:
    """Photos of a few people, put into the database as the analyse role leaves them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.vectors = MemoryVectors()
        self.role = PeopleRole(database=database, vectors=self.vectors, pack=pack())
        self.random = np.random.default_rng(11)
        self.centres = np.linalg.qr(self.random.normal(size=(DIMENSION, DIMENSION)))[0]

    def vector(self, who: int, noise: float = 0.08) -> Vector:
        noisy = self.centres[who] + self.random.normal(scale=noise, size=DIMENSION)
        return np.asarray(noisy / np.linalg.norm(noisy), np.float32)

    async def add(self, *people: int, ignored: str | None = None) -> list[UUID]:
        photo, faces = uuid7(), [uuid7() for _ in people]
        async with self.database.transaction() as tx:
            await tx.execute(PHOTO, [photo, LIBRARY, self.random.bytes(32)])
            for index, (face, who) in enumerate(zip(faces, people, strict=True)):
                box = [index / 10, 0.0, 0.1, 0.1]
                await tx.execute(FACE, [face, LIBRARY, photo, box, self.vector(who).tobytes(), ignored])
            await WorkQueue(self.database).add(tx, [Job(LIBRARY, LIBRARY, "people", Lane.BACKFILL)])
        return faces

    async def settle(self) -> None:
        for _ in range(50):
            if not await self.role.step():
                return
        raise AssertionError("the people role finds no end")

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async with self.database.read() as connection:
            return await (await connection.execute(query.encode())).fetchall()

    async def person(self, face: UUID) -> UUID | None:
        rows = await self.rows("SELECT face_id, person_id FROM proposals")
        people: list[UUID | None] = [row["person_id"] for row in rows if row["face_id"] == face]
        assert len(people) == 1
        return people[0]

    async def say(self, fact: catalogue_pb2.PersonNamed | catalogue_pb2.FaceJudged) -> None:
        message = Message(
            id=uuid4(), topic="gallery.people", type=fact.DESCRIPTOR.full_name, key=str(uuid4()), library_id=LIBRARY,
            revision=1, at=datetime.now(UTC), data=fact.SerializeToString(),
        )  # fmt: skip
        delivery = Delivery(message, subscription="people", database=self.database)
        if isinstance(fact, catalogue_pb2.PersonNamed):
            await person_named(delivery, fact)
        else:
            await face_judged(delivery, fact)


@pytest.fixture
def album(database: Database) -> Album:
    return Album(database)


async def test_people_appear_with_their_second_photo_and_are_said_whole(album: Album) -> None:
    (anna,) = await album.add(0)
    await album.settle()
    assert await album.person(anna) is None
    again, ben = await album.add(0, 1)
    await album.settle()
    assert await album.person(again) == await album.person(anna) is not None
    assert await album.person(ben) is None
    facts = await album.rows("SELECT type, data, revision FROM outbox ORDER BY seq")
    proposed = [analysis_pb2.FacesProposed.FromString(f["data"]) for f in facts if f["type"].endswith("FacesProposed")]
    assert max(len(fact.faces) for fact in proposed) == 2


async def test_poor_faces_are_ignored_with_their_reason_and_still_finish(album: Album) -> None:
    await album.add(0, ignored="too_small")
    await album.settle()
    assert await album.rows("SELECT state, rule, person_id FROM proposals") == [
        {"state": "ignored", "rule": "too_small", "person_id": None}
    ]


async def test_the_whole_library_is_grouped_when_nothing_is_left_to_look_at(album: Album) -> None:
    queue = WorkQueue(album.database)
    async with album.database.transaction() as tx:
        await queue.add(tx, [Job(LIBRARY, uuid4(), "analyse", Lane.BACKFILL)])
    faces = [await album.add(who) for who in (0, 1, 0, 1, 2)]
    await album.settle()
    rules = {row["rule"] for row in await album.rows("SELECT rule FROM proposals")}
    assert rules <= {"nearest_examples", "two_alike"}
    (work,) = await queue.claim(stages=["analyse"], limit=1, lease=timedelta(minutes=1))
    async with album.database.transaction() as tx:
        await queue.finish(tx, work)
    async with Growth() as growth:
        await album.settle()
        assert await growth.of("gallery_people_step_seconds_count", step="group") == 1
    assert {row["rule"] for row in await album.rows("SELECT rule FROM proposals")} == {"average_linkage"}
    assert await album.person(faces[0][0]) == await album.person(faces[2][0])
    assert await album.person(faces[4][0]) is None
    assert (await album.rows("SELECT changed = grouped AS settled FROM people_libraries")) == [{"settled": True}]


async def test_named_faces_keep_their_person_and_draw_others(album: Album) -> None:
    (first,), (second,) = await album.add(0), await album.add(0)
    await album.settle()
    before = await album.person(first)
    anna = uuid4()
    await album.say(catalogue_pb2.PersonNamed(person_id=str(anna), decisions_revision=1, face_ids=[str(first)]))
    await album.settle()
    assert before != anna
    assert await album.person(first) == await album.person(second) == anna
    (third,) = await album.add(0)
    await album.settle()
    assert await album.person(third) == anna
    newest = (await album.rows("SELECT data FROM outbox WHERE type LIKE '%FacesProposed' ORDER BY seq DESC LIMIT 1"))[0]
    assert analysis_pb2.FacesProposed.FromString(newest["data"]).decisions_revision == 1


async def test_a_face_judged_to_be_somebody_else_leaves_and_an_older_word_changes_nothing(album: Album) -> None:
    faces = [(await album.add(0))[0] for _ in range(3)]
    await album.settle()
    anna, ben = await album.person(faces[0]), uuid4()
    await album.say(
        catalogue_pb2.PersonNamed(person_id=str(anna), decisions_revision=1, face_ids=[str(one) for one in faces])
    )
    await album.say(catalogue_pb2.FaceJudged(face_id=str(faces[1]), person_id=str(ben), decisions_revision=3))
    await album.say(catalogue_pb2.FaceJudged(face_id=str(faces[1]), person_id=str(anna), decisions_revision=2))
    await album.say(catalogue_pb2.FaceJudged(face_id=str(faces[2]), person_id="", decisions_revision=4))
    await album.settle()
    assert [await album.person(one) for one in faces] == [anna, ben, None]
    ignored = await album.rows("SELECT face_id, rule FROM proposals WHERE state = 'ignored'")
    assert ignored == [{"face_id": faces[2], "rule": "judged"}]


async def test_an_index_that_lost_its_vectors_is_filled_again(album: Album) -> None:
    (first,) = await album.add(0)
    await album.settle()
    album.vectors = MemoryVectors()
    album.role = PeopleRole(database=album.database, vectors=album.vectors, pack=pack())
    (second,) = await album.add(0)
    await album.settle()
    assert await album.vectors.count("scrfd-edgeface", LIBRARY) == 2
    assert await album.person(first) == await album.person(second) is not None


async def test_who_lost_the_lease_writes_nothing(album: Album) -> None:
    await album.add(0)
    queue = WorkQueue(album.database)
    (mine,) = await queue.claim(stages=["people"], limit=1, lease=timedelta(0))
    (theirs,) = await queue.claim(stages=["people"], limit=1, lease=timedelta(minutes=1))
    assert theirs.fence > mine.fence

    with pytest.raises(LeaseLostError):
        await album.role._proposing.match_new(mine)
    assert await album.rows("SELECT FROM proposals") == []
    assert await album.rows("SELECT FROM outbox") == []


async def test_the_same_grouping_again_says_nothing_new(album: Album) -> None:
    for who in (0, 1, 0, 1):
        await album.add(who, 2)
    await album.settle()
    before = await album.rows("SELECT count(*) AS facts FROM outbox")
    async with album.database.transaction() as tx:
        await tx.execute("UPDATE people_libraries SET changed = changed + 1")
    await album.settle()
    assert await album.rows("SELECT count(*) AS facts FROM outbox") == before


async def test_everything_is_said_again_under_its_revision(album: Album) -> None:
    (anna,) = await album.add(0)
    await album.add(0)
    await album.settle()
    store = PeopleStore(album.database, pack="scrfd-edgeface")
    assert not await store.pending(LIBRARY)
    newest = "SELECT type, key, max(revision) AS top, count(*) AS said FROM outbox GROUP BY 1, 2 ORDER BY 1, 2"
    before = await album.rows(newest)
    assert await say_again(album.database, LIBRARY, decisions_revision=0) == 2
    after = await album.rows(newest)
    assert [{**row, "said": row["said"] + 1} for row in before] == after
    explained = await store.explanation(LIBRARY, anna)
    assert explained is not None
    assert (explained["rule"], len(explained["examples"])) == ("average_linkage", 1)
    assert await store.explanation(LIBRARY, uuid4()) is None


async def test_a_lease_is_lengthened_while_somebody_works_under_it(
    album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    await album.add(0)
    monkeypatch.setattr("gallery.ml_worker.people.role.LEASE", timedelta(milliseconds=200))
    untils: list[datetime] = []

    async def slow(_leased: Leased) -> None:
        while len(set(untils)) < 3:
            untils.append((await album.rows("SELECT leased_until FROM work"))[0]["leased_until"])

    monkeypatch.setattr(album.role, "_work", slow)
    assert await album.role.step()
    assert untils[-1] > untils[0]


async def test_work_that_fails_comes_again(album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    (anna,) = await album.add(0)

    async def broken(*_: object, **__: object) -> None:
        raise ConnectionError("the index is away")

    with monkeypatch.context() as patch:
        patch.setattr(album.vectors, "search", broken)
        assert await album.role.step()
    assert await album.rows("SELECT FROM proposals") == []
    async with album.database.transaction() as tx:
        await tx.execute("UPDATE work SET not_before = now()")
    await album.settle()
    assert await album.person(anna) is None
    assert len(await album.rows("SELECT FROM proposals")) == 1


async def test_another_pack_groups_anew_and_keeps_who_is_who(album: Album) -> None:
    faces = [(await album.add(who))[0] for who in (0, 0, 1, 1)]
    await album.settle()
    before = [await album.person(one) for one in faces]
    assert len(set(before)) == 2
    other = pack().model_copy(update={"name": "scrfd-w600k"})
    async with album.database.transaction() as tx:
        await tx.execute("UPDATE faces SET pack = 'scrfd-w600k'")
        await WorkQueue(album.database).add(tx, [Job(LIBRARY, LIBRARY, "people", Lane.BACKFILL)])
    album.role = PeopleRole(database=album.database, vectors=album.vectors, pack=other)
    await album.settle()
    assert [await album.person(one) for one in faces] == before
    assert await album.rows("SELECT DISTINCT pack FROM proposals") == [{"pack": "scrfd-w600k"}]
    assert await album.vectors.count("scrfd-w600k", LIBRARY) == 4
