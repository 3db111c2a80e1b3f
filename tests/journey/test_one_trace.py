"""What happens to a photo can be followed by one id, over HTTP, facts and leased work."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import pytest_asyncio
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from psycopg.rows import dict_row
from support.looking import FakeLooker
from support.waiting import expect_soon

from gallery.adapters.memory_blobs import MemoryBlobs
from gallery.adapters.postgres_bus import PostgresBus
from gallery.adapters.profile import PRODUCERS
from gallery.gateway.domain import Owner, digest
from gallery.gateway.main import build
from gallery.gateway.settings import GatewaySettings
from gallery.ml_worker import main as ml_worker
from gallery.ml_worker.analysing import AnalyseRole
from gallery.ml_worker.analysis import Analysis
from gallery.ml_worker.domain import Original, Packs, Rendering
from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.store import PhotoStore
from gallery.runtime import logs, partitions, tracing
from gallery.runtime.asgi_transport import AsgiTransport
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.runtime.neighbours import client
from gallery.upload import main as upload
from gallery.upload.settings import UploadSettings

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = PARENT[3:35]
JPEG = b"\xff\xd8\xff" + bytes(range(256))


class RejectingRenderer:
    """Nothing can be shown, which is told in the log and as a fact."""

    async def render(self, original: Original, *, rank: int) -> Rendering:  # noqa: ARG002
        raise RejectedError("undecodable", f"{original.size} bytes of nothing")


@asynccontextmanager
async def opened(url: str, schema: str) -> AsyncIterator[Database]:
    await migrate(url, schema=schema, packages=[f"gallery.{schema}"])
    async with Database.open(url, schema=schema) as database:
        await partitions.renew(database)
        yield database


@asynccontextmanager
async def analysing(database: Database, blobs: MemoryBlobs) -> AsyncIterator[None]:
    photos = PhotoStore(database)
    packs = Packs("faces", None)
    analysis = Analysis(database=database, photos=photos, blobs=blobs, renderer=RejectingRenderer(), packs=packs)
    async with AnalyseRole(photos=photos, analysis=analysis, looker=FakeLooker()) as role:
        running = asyncio.create_task(role.run())
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest_asyncio.fixture
async def gateway(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The public API over upload, whose facts ml-worker hears."""
    blobs = MemoryBlobs()
    async with (
        opened(database_url, "upload") as uploads,
        opened(database_url, "metadata"),
        opened(database_url, "ml_worker") as work,
        upload.serving(settings=UploadSettings(), database=uploads, blobs=blobs) as inside,
        client("http://upload", transport=AsgiTransport(inside)) as to_upload,
        PostgresBus.open(database_url, home="ml_worker", producers=PRODUCERS) as bus,
        ml_worker.consuming(database=work, bus=bus),
        analysing(work, blobs),
    ):
        services = dict.fromkeys(("upload", "metadata", "ml_worker", "search"), to_upload)
        owner = Owner(uuid4(), uuid4(), digest("token"))
        app = build(
            settings=GatewaySettings(), owner=owner, services=services, effective_settings=(), ready=uploads.ready
        )
        headers = {"authorization": "Bearer token", "traceparent": PARENT}
        async with httpx.AsyncClient(
            transport=AsgiTransport(app), base_url="http://localhost/api/v1", headers=headers
        ) as public:
            yield public


@contextmanager
def logging_as_json() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(json=True)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


async def said(url: str, schema: str) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as connection:
        query = f"SELECT type, traceparent FROM {schema}.outbox"  # noqa: S608 - our own schemas
        return await (await connection.execute(query.encode())).fetchall()


async def test_one_id_from_the_upload_to_the_end_of_the_analysis(
    gateway: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def analysed() -> bool:
        return "analyse photo" in [span.name for span in exporter.get_finished_spans()]

    with logging_as_json(), tracing.recording(provider):
        (await gateway.post("/uploads", files={"file": ("a.jpg", JPEG)})).raise_for_status()
        await expect_soon(analysed)

    spans = [span for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == TRACE]
    below = {span.parent.span_id: span for span in spans if span.parent}
    story, at = [], int(PARENT[36:52], 16)
    while at in below:
        story.append((below[at].name, below[at].kind.name))
        at = below[at].context.span_id
    assert story == [
        ("POST /api/v1/uploads", "SERVER"),
        ("POST /internal/v1/libraries/{library_id}/uploads", "SERVER"),
        ("process gallery.uploads", "CONSUMER"),
        ("analyse photo", "INTERNAL"),
    ]
    (rejected,) = [line for line in map(json.loads, capsys.readouterr().err.splitlines()) if "code" in line]
    assert (rejected["event"], rejected["trace_id"]) == ("photo rejected", TRACE)


async def test_the_id_is_handed_on_where_nobody_records(
    gateway: httpx.AsyncClient, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def told() -> bool:
        return bool(await said(database_url, "ml_worker"))

    with logging_as_json():
        (await gateway.post("/uploads", files={"file": ("a.jpg", JPEG)})).raise_for_status()
        await expect_soon(told)
    facts = [*await said(database_url, "upload"), *await said(database_url, "ml_worker")]
    assert [fact["type"].rpartition(".")[2] for fact in facts] == ["PhotoUploaded", "PhotoAnalysed"]
    assert [fact["traceparent"][:36] for fact in facts] == [PARENT[:36]] * 2
    assert len({fact["traceparent"] for fact in facts}) == 2
    (rejected,) = [line for line in map(json.loads, capsys.readouterr().err.splitlines()) if "code" in line]
    assert (rejected["event"], rejected["trace_id"]) == ("photo rejected", TRACE)
