"""A bucket that vanishes, keys that are good no more, a disk that is full: uploads are refused with a reason, nothing
acknowledged is lost, and work goes on by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from support.disks import small_disk
from support.engines.versitygw import Versitygw, running
from support.waiting import expect_soon

from gallery.adapters.s3_blobs import S3Blobs
from gallery.adapters.s3_bucket import S3Bucket
from gallery.runtime import partitions
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.upload.main import serving
from gallery.upload.settings import UploadSettings

pytestmark = pytest.mark.engine

SWEEP_EVERY = "0.2"
MEGABYTE = 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Versitygw]:
    """A store of its own, to be harmed."""
    with running(Versitygw(tmp_path / "s3")) as engine:
        yield engine


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate(database_url, schema="upload", packages=["gallery.upload"])
    async with Database.open(database_url, schema="upload") as opened:
        await partitions.renew(opened)
        yield opened


@asynccontextmanager
async def uploading(store: Versitygw, database: Database) -> AsyncIterator[tuple[httpx.AsyncClient, Path]]:
    """The upload service over a bucket, whose folder is told, too."""
    settings, library = store.settings(), uuid4()
    with closing(S3Bucket(settings)) as bucket:
        async with (
            serving(settings=UploadSettings(sweep_every=SWEEP_EVERY), database=database, blobs=S3Blobs(bucket)) as app,
            httpx.AsyncClient(
                transport=AsgiTransport(app), base_url=f"http://upload/internal/v1/libraries/{library}", timeout=60
            ) as client,
        ):
            yield client, store.data / settings.s3_bucket


def photo(number: int, *, size: int = 100_000) -> bytes:
    return b"\xff\xd8\xff" + bytes([number]) * size


async def accepted(client: httpx.AsyncClient, content: bytes) -> UUID:
    answer = await client.post("/uploads", content=content)
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["photo_id"])


async def refused(client: httpx.AsyncClient, content: bytes, *, code: str) -> None:
    answer = await client.post("/uploads", content=content)
    assert (answer.status_code, answer.json()["code"]) == (503, code), answer.text


async def check_whole(client: httpx.AsyncClient, database: Database, kept: dict[UUID, bytes]) -> None:
    """What was acknowledged is there, said once, and nothing else is left, once the sweeper has been."""

    async def swept() -> bool:
        async with database.transaction() as tx:  # as if nothing could come any more of what was given up
            await tx.execute(b"UPDATE intents SET abandoned_at = abandoned_at - interval '10 minutes'")
        return await count(database, "intents") == 0

    for photo_id, content in kept.items():
        assert (await client.get(f"/originals/{photo_id}")).content == content
    await expect_soon(swept)
    assert await count(database, "originals") == await count(database, "outbox") == len(kept)
    assert (await client.post("/verify")).json() == {"objects": len(kept), "findings": []}


async def count(database: Database, table: str) -> int:
    async with database.read() as connection:
        rows: list[dict[str, Any]] = await (
            await connection.execute(f"SELECT count(*) AS number FROM {table}".encode())  # noqa: S608  # our own names
        ).fetchall()
    return int(rows[0]["number"])


async def test_a_bucket_that_vanishes_and_comes_back(store: Versitygw, database: Database, tmp_path: Path) -> None:
    async with uploading(store, database) as (client, folder):
        first = await accepted(client, photo(1))
        folder.rename(tmp_path / "gone")
        with capture_logs() as logs:
            await refused(client, photo(2), code="storage_away")
        assert "NoSuchBucket" in str(logs)
        unread = await client.get(f"/originals/{first}")
        assert (unread.status_code, unread.json()["code"]) == (503, "storage_away")
        (tmp_path / "gone").rename(folder)
        again = await accepted(client, photo(2))
        await check_whole(client, database, {first: photo(1), again: photo(2)})


async def test_a_large_file_whose_bucket_vanishes_meanwhile(
    store: Versitygw, database: Database, tmp_path: Path
) -> None:
    content = photo(3, size=30 * MEGABYTE)
    async with uploading(store, database) as (client, folder):

        async def slowly() -> AsyncIterator[bytes]:
            for start in range(0, len(content), MEGABYTE):
                if start == 20 * MEGABYTE:
                    folder.rename(tmp_path / "gone")
                yield content[start : start + MEGABYTE]

        answer = await client.post("/uploads", content=slowly())
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_away")
        (tmp_path / "gone").rename(folder)
        again = await accepted(client, content)
        await check_whole(client, database, {again: content})


async def test_keys_that_are_good_no_more_and_then_again(store: Versitygw, database: Database) -> None:
    async with uploading(store, database) as (client, _):
        first = await accepted(client, photo(1))
        await asyncio.to_thread(restarted, store, secret="another")  # noqa: S106  # for loopback
        with capture_logs() as logs:
            await refused(client, photo(2), code="storage_away")
        assert "SignatureDoesNotMatch" in str(logs)
        await asyncio.to_thread(restarted, store, secret=store.secret)
        again = await accepted(client, photo(2))
        await check_whole(client, database, {first: photo(1), again: photo(2)})


async def test_a_disk_that_is_full_and_has_room_again(database: Database, tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    with small_disk(tmp_path / "s3", size="30m"), running(Versitygw(tmp_path / "s3")) as store:
        async with uploading(store, database) as (client, _):
            first = await accepted(client, photo(1))
            (tmp_path / "s3/ballast").write_bytes(bytes(26 * MEGABYTE))
            await refused(client, photo(2, size=8 * MEGABYTE), code="storage_full")
            (tmp_path / "s3/ballast").unlink()
            again = await accepted(client, photo(2, size=8 * MEGABYTE))
            await check_whole(client, database, {first: photo(1), again: photo(2, size=8 * MEGABYTE)})


def restarted(store: Versitygw, *, secret: str) -> None:
    """Have the store know another key from now on."""
    store.stop()
    store._process._environment["ROOT_SECRET_ACCESS_KEY"] = secret
    store.start()
