"""An engine that is not there, too old, or another's: the process says which, what it needs and how to get it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from support.programs import refused

from gallery.adapters import elastic_probe, kafka_probe, qdrant_probe
from gallery.adapters.elastic_settings import ElasticSettings
from gallery.adapters.findings import Finding, demand
from gallery.adapters.qdrant_settings import QdrantSettings
from gallery.runtime import server
from gallery.runtime.errors import UnfitEngineError
from gallery.runtime.migrations import migrate

NOBODY = "127.0.0.1:9"

Tables = list[tuple[Any, ...]]


async def tables(url: str) -> Tables:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        return await found.fetchall()


@pytest.mark.parametrize(
    ("command", "settings", "named"),
    [
        ("gallery-relay upload", {"GALLERY_KAFKA_SERVERS": NOBODY}, "GALLERY_KAFKA_SERVERS"),
        ("gallery-topics apply", {"GALLERY_KAFKA_SERVERS": NOBODY}, "Kafka"),
        (
            "gallery-upload serve",
            {"GALLERY_BLOBS": "s3", "GALLERY_S3_ENDPOINT": f"http://{NOBODY}", "GALLERY_S3_KEY_ID": "me"},
            "GALLERY_S3_ENDPOINT",
        ),
        (
            "gallery-search serve",
            {"GALLERY_SEARCH_INDEX": "elasticsearch", "GALLERY_ELASTIC_URL": f"http://{NOBODY}"},
            "GALLERY_ELASTIC_URL",
        ),
        (
            "gallery-ml-worker people",
            {"GALLERY_VECTORS": "qdrant", "GALLERY_QDRANT_URL": f"http://{NOBODY}"},
            "GALLERY_QDRANT_URL",
        ),
    ],
)
async def test_one_that_is_missing_is_named(
    database_url: str, command: str, settings: dict[str, str], named: str
) -> None:
    service = command.split(maxsplit=1)[0].removeprefix("gallery-").replace("-", "_")
    if service in {"upload", "search", "ml_worker"}:
        await migrate(database_url, schema=service, packages=[f"gallery.{service}"])
    secret = {"GALLERY_S3_SECRET": "mine", "GALLERY_DATABASE_URL": database_url}
    sentence = refused(*command.split(), settings=secret | settings)
    assert named in sentence
    assert NOBODY in sentence


def test_a_database_that_is_missing_is_named_and_keeps_its_secret() -> None:
    missing = refused(
        "gallery-upload", "migrate", settings={"GALLERY_DATABASE_URL": f"postgresql://me:hush@{NOBODY}/g"}
    )
    assert "PostgreSQL 18" in missing
    unreadable = refused("gallery-upload", "migrate", settings={"GALLERY_DATABASE_URL": "postgres//me:hush@here"})
    assert "GALLERY_DATABASE_URL" in unreadable
    assert "hush" not in missing + unreadable


async def test_a_database_that_is_too_old_is_left_as_it_is(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "OLDEST", 99)
    with pytest.raises(UnfitEngineError, match="postgres has version 18"):
        await migrate(database_url, schema="upload", packages=["gallery.upload"])
    assert await tables(database_url) == []


async def test_a_schema_of_somebody_else_is_left_as_it_is(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("CREATE SCHEMA upload")
        await connection.execute("CREATE TABLE upload.parcels (id int)")
    sentence = refused("gallery-upload", "migrate", settings={"GALLERY_DATABASE_URL": database_url})
    assert "another's (parcels is in it)" in sentence
    assert await tables(database_url) == [("upload", "parcels")]


async def test_an_empty_schema_that_somebody_prepared_is_ours(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("CREATE SCHEMA upload")
    await migrate(database_url, schema="upload", packages=["gallery.upload"])
    assert ("upload", "originals") in await tables(database_url)


class Answering(BaseHTTPRequestHandler):
    """Says one thing to everybody."""

    status, body, headers_of_answer = 200, b"{}", {"content-type": "application/json"}

    def do_GET(self) -> None:
        self.server.asked.add(self.command)  # type: ignore[attr-defined]
        self.send_response(self.status)
        for name, value in {**self.headers_of_answer, "content-length": str(len(self.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815  # the names of http.server

    def log_message(self, *_: object) -> None: ...


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, set[str]]]:
    """Serve such an answer; yields the address, and the methods that it is asked by."""
    told = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    kind = type("Answer", (Answering,), {"status": status, "body": body, "headers_of_answer": told})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as serving:
        serving.asked = set()  # type: ignore[attr-defined]
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}", serving.asked  # type: ignore[attr-defined]
        serving.shutdown()
        thread.join()


OLD_ELASTIC = b'{"error": {"type": "media_type_header_exception"}, "status": 400}'


@pytest.mark.parametrize(
    ("status", "body", "headers", "told"),
    [
        (400, OLD_ELASTIC, {"x_elastic_product": "Elasticsearch"}, "media_type_header_exception"),
        (200, b"{}", {}, "no Elasticsearch"),
        (401, b"{}", {"x_elastic_product": "Elasticsearch"}, "401"),
    ],
)
async def test_another_elasticsearch_is_only_asked(
    status: int, body: bytes, headers: dict[str, str], told: str
) -> None:
    with (
        answering(status, body, **headers) as (url, asked),
        pytest.raises(UnfitEngineError, match="Elasticsearch 9") as caught,
    ):
        demand(await elastic_probe.probe(ElasticSettings(elastic_url=url)))
    assert told in str(caught.value)
    assert url in str(caught.value)
    assert asked == {"GET"}


async def test_an_old_qdrant_is_only_asked() -> None:
    version = b'{"title": "qdrant", "version": "1.9.2", "result": {"collections": []}, "status": "ok", "time": 0}'
    with (
        answering(200, version) as (url, asked),
        pytest.raises(UnfitEngineError, match=r"version 1\.9\.2 .* needs Qdrant 1\.15"),
    ):
        demand([await qdrant_probe.probe(QdrantSettings(qdrant_url=url))])
    assert asked == {"GET"}


async def test_a_newer_qdrant_will_do() -> None:
    version = b'{"title": "qdrant", "version": "1.20.0", "result": {"collections": []}, "status": "ok", "time": 0}'
    with answering(200, version) as (url, _):
        assert (await qdrant_probe.probe(QdrantSettings(qdrant_url=url))).ok


@pytest.mark.parametrize(
    ("versions", "lacking"),
    [({11: (0, 4), 22: (0, 1), 32: (0, 2)}, "JoinGroup"), ({11: (2, 9), 32: (1, 4)}, "InitProducerId")],
)
def test_a_kafka_that_lacks_requests_is_told_by_them(versions: dict[int, tuple[int, int]], lacking: str) -> None:
    assert kafka_probe._lacking(versions) == lacking


def test_each_service_looks_at_its_own_topics() -> None:
    assert {str(topic) for topic in kafka_probe.topics_of("ml_worker")} == {
        "gallery.analysis",
        "gallery.people",
        "gallery.uploads",
    }


def test_what_is_only_convenient_is_not_demanded() -> None:
    demand([Finding("s3", ok=True, found="yes"), Finding("cors", ok=False, found="no", advice="add", needed=False)])
    with pytest.raises(UnfitEngineError, match="keeps: no; mend it"):
        demand([Finding("keeps", ok=False, found="no", advice="mend it")])
