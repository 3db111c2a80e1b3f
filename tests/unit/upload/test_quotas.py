"""A library holds as much as it may, to the photo, however many send to it at once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.upload.errors import QuotaReachedError
from gallery.upload.main import serving
from gallery.upload.quotas import refuse_beyond_quota
from gallery.upload.settings import UploadSettings

SIZE = 100


def photo(number: int, *, size: int = SIZE) -> bytes:
    return (b"\xff\xd8\xff" + number.to_bytes(4)).ljust(size, b"\0")


@pytest_asyncio.fixture
async def processes(database: Database, blobs: Any, library: UUID) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two processes of the service."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            app = await stack.enter_async_context(serving(settings=UploadSettings(), database=database, blobs=blobs))
            client = httpx.AsyncClient(
                transport=AsgiTransport(app), base_url=f"http://upload/internal/v1/libraries/{library}"
            )
            clients.append(await stack.enter_async_context(client))
        yield clients


@pytest.fixture
def upload(processes: list[httpx.AsyncClient]) -> httpx.AsyncClient:
    return processes[0]


async def limit(upload: httpx.AsyncClient, **limits: int | None) -> dict[str, Any]:
    """Change what is named of ``photos`` and ``bytes``."""
    answer = await upload.patch("/quota", json=limits)
    return dict(answer.raise_for_status().json())


async def held(upload: httpx.AsyncClient) -> tuple[int, int]:
    holding = (await upload.get("/quota")).json()["held"]
    return holding["photos"], holding["bytes"]


async def test_without_a_quota_everything_is_counted_and_taken(upload: httpx.AsyncClient) -> None:
    assert (await upload.get("/quota")).json() == {
        "held": {"photos": 0, "bytes": 0},
        "quota": {"photos": None, "bytes": None},
    }
    for number in (1, 2, 2):
        await upload.post("/uploads", content=photo(number))
    assert await held(upload) == (2, 2 * SIZE)


@pytest.mark.parametrize("limits", [{"photos": 5}, {"bytes": 5 * SIZE + SIZE - 1}])
async def test_many_at_once_do_not_pass_a_quota_by_one(
    processes: list[httpx.AsyncClient], blobs: Any, database: Database, limits: dict[str, int]
) -> None:
    await limit(processes[0], **limits)
    sent = [processes[number % 2].post("/uploads", content=photo(number)) for number in range(20)]
    answers = await asyncio.gather(*sent)
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [403] * 15
    refusal = next(answer.json() for answer in answers if answer.is_error)
    assert refusal["code"] == "quota_reached"
    assert "raise its quota" in refusal["detail"]
    assert await held(processes[0]) == (5, 5 * SIZE)
    assert len(blobs.objects) == 5
    async with database.read() as connection:
        row = await (await connection.execute("SELECT count(*) AS said FROM outbox")).fetchone()
    assert row == {"said": 5}, "what is refused is never spoken of"


async def test_a_full_library_is_told_before_it_sends(upload: httpx.AsyncClient) -> None:
    await upload.post("/uploads", content=photo(1))
    await limit(upload, photos=1)
    read: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        yield photo(2)
        while True:
            read.append(1)
            yield bytes(1 << 16)

    answer = await upload.post("/uploads", content=endless())
    assert (answer.status_code, len(read) < 20) == (403, True)


async def test_what_is_stored_already_is_no_further_photo(upload: httpx.AsyncClient) -> None:
    await upload.post("/uploads", content=photo(1))
    await limit(upload, photos=1)
    known = {"x-gallery-sha256": hashlib.sha256(photo(1)).hexdigest()}
    assert (await upload.post("/uploads", content=photo(1), headers=known)).json()["status"] == "already_stored"


async def test_after_a_rise_it_goes_on_and_after_a_cut_nothing_is_lost(upload: httpx.AsyncClient) -> None:
    await limit(upload, photos=0)
    assert (await upload.post("/uploads", content=photo(1))).status_code == 403
    await limit(upload, photos=2, bytes=1000)
    assert (await upload.post("/uploads", content=photo(1))).status_code == 201
    assert (await limit(upload, bytes=10))["held"] == {"photos": 1, "bytes": SIZE}
    assert (await upload.post("/uploads", content=photo(2))).status_code == 403
    assert (await upload.post("/verify")).json() == {"objects": 1, "findings": []}


async def test_a_limit_that_is_not_named_stays(upload: httpx.AsyncClient) -> None:
    assert (await limit(upload, photos=3))["quota"] == {"photos": 3, "bytes": None}
    assert (await limit(upload, bytes=5))["quota"] == {"photos": 3, "bytes": 5}
    assert (await limit(upload, photos=None))["quota"] == {"photos": None, "bytes": 5}
    for nonsense in ({"photos": -1}, {"bytes": 2**63}, {"photos": "many"}):
        assert (await upload.patch("/quota", json=nonsense)).status_code == 422


async def test_libraries_do_not_pay_for_one_another(database: Database, blobs: Any, upload: httpx.AsyncClient) -> None:
    await limit(upload, photos=0)
    async with serving(settings=UploadSettings(), database=database, blobs=blobs) as app:
        place = f"http://upload/internal/v1/libraries/{uuid4()}"
        async with httpx.AsyncClient(transport=AsgiTransport(app), base_url=place) as other:
            assert (await other.post("/uploads", content=photo(1))).status_code == 201


async def test_what_was_there_before_quotas_counts(database_url: str) -> None:
    await migrate(database_url, schema="upload", packages=["gallery.upload"])
    async with Database.open(database_url, schema="upload") as database, database.transaction() as tx:
        await tx.execute("DROP TRIGGER originals_are_counted ON originals")
        await tx.execute("DROP FUNCTION count_original")
        await tx.execute("DROP TABLE libraries")
        await tx.execute("DELETE FROM migrations WHERE name LIKE '%quotas.sql'")
        for number in range(3):
            await tx.execute(
                "INSERT INTO originals VALUES (uuidv7(), %(library)s, %(key)s, %(sha256)s, 7, 'image/jpeg', now())",
                {"library": UUID(int=1), "key": str(number), "sha256": bytes([number]) * 32},
            )
    await migrate(database_url, schema="upload", packages=["gallery.upload"])
    async with Database.open(database_url, schema="upload") as database, database.transaction() as tx:
        await tx.execute("DELETE FROM originals WHERE blob_key = '0'")
        rows = await (await tx.execute("SELECT * FROM libraries")).fetchall()
    assert [(row["photos"], row["bytes"]) for row in rows] == [(2, 14)]


@given(photos=st.none() | st.integers(0), size=st.none() | st.integers(0))
def test_a_refusal_names_the_limits_that_there_are(photos: int | None, size: int | None) -> None:
    with pytest.raises(QuotaReachedError) as refused:
        refuse_beyond_quota({"most_photos": photos, "most_bytes": size})
    assert (f"{photos} photos" in str(refused.value)) == (photos is not None)
    assert (f"{size} bytes" in str(refused.value)) == (size is not None)
