"""Every original is read back some night, what is broken is told with its photo, and nothing is ever deleted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.blobs import pieces
from support.engines.versitygw import Versitygw
from support.waiting import expect_soon

from gallery.adapters.local_blobs import LocalBlobs
from gallery.adapters.memory_blobs import MemoryBlobs
from gallery.adapters.s3_blobs import S3Blobs
from gallery.adapters.s3_bucket import S3Bucket
from gallery.ports.blobs import BlobError, Blobs
from gallery.runtime import metrics
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.runtime.ids import uuid7
from gallery.upload import audit as audit_module
from gallery.upload import main
from gallery.upload.audit import Audit
from gallery.upload.audit_store import PostgresAudits, PostgresFaults
from gallery.upload.domain import FindingKind, Lane, Night, Original
from gallery.upload.settings import UploadSettings
from gallery.upload.store import PostgresIntents, PostgresOriginals

SIZE = 1000
NIGHT = datetime(2026, 5, 2, 3, tzinfo=UTC)
DAY = timedelta(days=1)


class Shelf:
    """Originals in a store, that come to harm."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self.database = database
        self.blobs = blobs
        self.library = uuid4()

    async def add(self, number: int) -> Original:
        content = bytes([number]) * SIZE
        key = f"originals/{self.library}/{uuid4().hex}"
        await PostgresIntents(self.database).declare(self.library, key)
        blob = await self.blobs.put(key, pieces(content))
        original = Original(
            photo_id=uuid7(),
            library_id=self.library,
            blob_key=key,
            sha256=blob.sha256,
            size=SIZE,
            media_type="image/jpeg",
            uploaded_at=NIGHT,
            file=f"{number}.jpg",
        )
        return await PostgresOriginals(self.database).record(original, lane=Lane.BACKFILL)

    async def fill(self, number: int) -> list[Original]:
        return [await self.add(each) for each in range(number)]

    def audit(self, *, budget: int = 1 << 30, blobs: Blobs | None = None) -> Audit:
        return Audit(
            blobs=blobs or self.blobs,
            audits=PostgresAudits(self.database),
            faults=PostgresFaults(self.database),
            budget=budget,
            hour=1,
        )

    async def faults(self) -> dict[UUID, FindingKind]:
        return {each.photo_id: each.kind for each in await PostgresFaults(self.database).found(self.library)}

    async def read(self) -> int:
        return (await PostgresAudits(self.database).round()).objects


@pytest.fixture
def shelf(database: Database) -> Shelf:
    return Shelf(database, MemoryBlobs())


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "SLICE", 2 * SIZE)


async def audited(audit: Audit, *, now: datetime = NIGHT) -> int:
    """Read slices until there is nothing to read; how many there were."""
    slices = 0
    while await audit.slice(now=now):
        slices += 1
    return slices


@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.engine)])
async def test_bytes_that_changed_or_went_are_found_in_any_store_and_never_deleted(
    database: Database, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "folder":
        await check_store(Shelf(database, LocalBlobs(tmp_path)), tmp_path)
    else:
        store: Versitygw = request.getfixturevalue("versitygw")
        settings = store.settings()
        with closing(S3Bucket(settings)) as bucket:
            await check_store(Shelf(database, S3Blobs(bucket)), store.data / settings.s3_bucket)


async def check_store(shelf: Shelf, root: Path) -> None:
    first, second, third, _ = await shelf.fill(4)
    changed = file_of(root, second)
    changed.chmod(0o600)
    changed.write_bytes(bytes([1]) * (SIZE - 1) + b"!")
    file_of(root, third).unlink()
    with capture_logs() as logs:
        assert await audited(shelf.audit()) == 1
    assert await shelf.faults() == {second.photo_id: FindingKind.DAMAGED, third.photo_id: FindingKind.MISSING}
    told = {entry["photo_id"]: entry["kind"] for entry in logs if entry["log_level"] == "error"}
    assert told == {str(second.photo_id): "damaged", str(third.photo_id): "missing"}
    assert changed.exists(), "a damaged photo may still be worth something"
    assert file_of(root, first).read_bytes() == bytes([0]) * SIZE


def file_of(root: Path, original: Original) -> Path:
    """Where a store over a folder keeps the bytes."""
    return next(root.rglob(original.blob_key.rpartition("/")[2]))


@pytest.mark.usefixtures("small_slices")
async def test_a_night_goes_on_slice_by_slice_and_ends_with_the_round(shelf: Shelf) -> None:
    await shelf.fill(5)
    audit = shelf.audit()
    assert await audit.slice(now=NIGHT)
    assert await shelf.read() == 2
    assert await audited(shelf.audit()) == 2, "another process goes on where this one ended"
    assert not await audit.slice(now=NIGHT + timedelta(hours=20)), "once a night is enough"
    assert await audit.slice(now=NIGHT + DAY)


@pytest.mark.usefixtures("small_slices")
async def test_a_budget_is_for_a_night_and_the_next_one_goes_on_there(shelf: Shelf) -> None:
    photos = await shelf.fill(7)
    audit = shelf.audit(budget=3 * SIZE)
    last = photos[-1]
    await shelf.blobs.delete(last.blob_key)
    for night, read in ((0, 3), (1, 6)):
        await audited(audit, now=NIGHT + night * DAY)
        assert await shelf.read() == read
        assert await shelf.faults() == {}
    await audited(audit, now=NIGHT + 2 * DAY)
    assert await shelf.faults() == {last.photo_id: FindingKind.MISSING}
    assert not await shelf.audit(budget=0).slice(now=NIGHT + 3 * DAY)


async def test_one_process_reads_at_a_time(shelf: Shelf) -> None:
    await shelf.fill(3)
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryBlobs):
        async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
            begun.set()
            await go_on.wait()
            async for piece in shelf.blobs.read(key, start=start, length=length):
                yield piece

    reading = asyncio.create_task(shelf.audit(blobs=Slow()).slice(now=NIGHT))
    await begun.wait()
    assert not await shelf.audit().slice(now=NIGHT)
    go_on.set()
    assert await reading


async def test_a_store_that_cannot_be_read_is_no_damage_and_is_tried_again(shelf: Shelf) -> None:
    await shelf.fill(3)

    class Away(MemoryBlobs):
        async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
            async for piece in shelf.blobs.read(key, start=start, length=length):
                yield piece
                raise BlobError("away")

    with pytest.raises(BlobError):
        await shelf.audit(blobs=Away()).slice(now=NIGHT)
    assert await shelf.faults() == {}
    assert await audited(shelf.audit()) == 1
    assert (await PostgresAudits(shelf.database).round()).ended_at is not None


async def test_a_process_that_died_while_it_read_leaves_its_slice_to_others(shelf: Shelf) -> None:
    await shelf.fill(3)
    died = await PostgresAudits(shelf.database).take(Night.at(NIGHT, hour=1), budget=SIZE, lease=timedelta(0))
    assert died is not None
    assert await audited(shelf.audit()) == 1
    await PostgresAudits(shelf.database).settle(died, after=uuid7(), size=1, objects=1, ended=False)
    assert await shelf.read() == 0, "who overran the lease changes nothing"


async def test_a_disk_that_cannot_read_bytes_has_damaged_them(shelf: Shelf) -> None:
    first, second = await shelf.fill(2)

    class Scratched(MemoryBlobs):
        async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
            if key == first.blob_key:
                raise OSError(5, "Input/output error")
            async for piece in shelf.blobs.read(key, start=start, length=length):
                yield piece

    await audited(shelf.audit(blobs=Scratched()))
    assert await shelf.faults() == {first.photo_id: FindingKind.DAMAGED}
    assert second.photo_id not in await shelf.faults()


@pytest_asyncio.fixture
async def client(shelf: Shelf) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        main.serving(settings=UploadSettings(), database=shelf.database, blobs=shelf.blobs) as app,
        httpx.AsyncClient(
            transport=AsgiTransport(app), base_url=f"http://upload/internal/v1/libraries/{shelf.library}"
        ) as asking,
    ):
        yield asking


async def test_what_is_broken_is_told_until_it_is_well_again(shelf: Shelf, client: httpx.AsyncClient) -> None:
    broken, _ = await shelf.fill(2)
    await shelf.blobs.delete(broken.blob_key)
    await audited(shelf.audit())
    told = (await client.get("/audit")).json()
    assert [(each["photo_id"], each["kind"]) for each in told["faults"]] == [(str(broken.photo_id), "missing")]
    assert told["ended_at"]
    other = str(client.base_url).replace(str(shelf.library), str(uuid4()))
    assert (await client.get(f"{other}audit")).json()["faults"] == [], "of another library"
    page = (await metrics.page()).decode()
    assert 'gallery_faulty_objects{outcome="missing"} 1.0' in page
    assert "gallery_audit_round_seconds" in page

    assert len((await client.post("/verify")).json()["findings"]) == 1
    await shelf.blobs.put(broken.blob_key, pieces(bytes([0]) * SIZE))
    assert (await client.post("/verify")).json() == {"objects": 2, "findings": []}
    assert (await client.get("/audit")).json()["faults"] == []


async def test_what_verify_finds_is_kept_too(shelf: Shelf, client: httpx.AsyncClient) -> None:
    (broken,) = await shelf.fill(1)
    await shelf.blobs.delete(broken.blob_key)
    await client.post("/verify")
    assert [each["photo_id"] for each in (await client.get("/audit")).json()["faults"]] == [str(broken.photo_id)]


async def test_the_service_audits_by_itself(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "AUDIT_EVERY", timedelta(milliseconds=10))
    (broken,) = await shelf.fill(1)
    await shelf.blobs.delete(broken.blob_key)

    async def noticed() -> bool:
        return bool(await shelf.faults())

    async with main.serving(settings=UploadSettings(), database=shelf.database, blobs=shelf.blobs):
        await expect_soon(noticed)


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(0, 23))  # noqa: DTZ001  # the zone follows
def test_a_night_lasts_a_day_and_begins_at_its_hour(moment: datetime, hour: int) -> None:
    now = moment.replace(tzinfo=UTC)
    night = Night.at(now, hour=hour)
    assert night.since <= now < night.since + DAY
    assert night.since.hour == hour
    assert Night.at(night.since, hour=hour) == night == Night.at(now.astimezone(), hour=hour)
    assert Night.at(night.since + DAY, hour=hour).day == night.day + DAY
