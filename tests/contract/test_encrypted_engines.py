"""Engines that are spoken to by TLS, and that want to know who we are."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr
from support.blobs import content_of, pieces
from support.engines.elasticsearch import Elasticsearch
from support.engines.kafka import Kafka, SecureKafka
from support.engines.versitygw import Versitygw
from support.search_indexes import document, elastic_settings
from support.tls import Certificate, certificate, encrypted

from gallery.adapters import elastic_probe, kafka_probe, kafka_topics, qdrant_probe, s3_probe
from gallery.adapters.elastic_search_index import ElasticSearchIndex
from gallery.adapters.findings import demand
from gallery.adapters.kafka_bus import KafkaBus
from gallery.adapters.kafka_records import to_record
from gallery.adapters.kafka_settings import KafkaSettings
from gallery.adapters.qdrant_settings import QdrantSettings
from gallery.adapters.s3_blobs import S3Blobs
from gallery.adapters.s3_bucket import S3Bucket
from gallery.events.topics import Topic
from gallery.ports.bus import Message
from gallery.ports.search_index import Everything
from gallery.runtime.errors import UnfitEngineError
from gallery.runtime.ids import uuid7
from gallery.runtime.server import reached
from gallery.runtime.settings import SettingsError, load


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory, shown: Certificate) -> Iterator[Kafka]:
    engine = SecureKafka(tmp_path_factory.mktemp("kafka"), shown)
    engine.start()
    yield engine
    engine.stop()


def kafka_settings(engine: SecureKafka, monkeypatch: pytest.MonkeyPatch, **changes: str) -> KafkaSettings:
    given = {
        "servers": engine.secure_servers,
        "prefix": f"test-{uuid4().hex[:8]}.",
        "tls": "true",
        "ca": str(engine.shown.certificate),
        "login": "SCRAM-SHA-512",
        "user": engine.user,
        "password": engine.password,
        **changes,
    }
    for name, value in given.items():
        if value:
            monkeypatch.setenv(f"GALLERY_KAFKA_{name.upper()}", value)
    return load(KafkaSettings)


@pytest.mark.engine
@pytest.mark.parametrize("login", ["PLAIN", "SCRAM-SHA-512"])
async def test_facts_travel_over_a_kafka_that_wants_tls_and_a_login(
    secure_kafka: SecureKafka, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    cluster = kafka_settings(secure_kafka, monkeypatch, login=login).cluster
    await kafka_topics.apply(cluster)
    demand(await kafka_probe.probe(cluster))
    message = Message(
        id=uuid7(),
        topic=Topic.UPLOADS,
        type="test",
        key="a",
        library_id=uuid4(),
        revision=1,
        at=datetime.now(UTC),
        data=b"hello",
    )
    async with AIOKafkaProducer(**cluster.address) as producer:
        await producer.send_and_wait(cluster.called(message.topic), **to_record(message))
    async with asyncio.timeout(30), KafkaBus(cluster).subscribe("anybody", [Topic.UPLOADS]) as subscription:
        found: list[Message] = []
        while not found:
            found = list(await subscription.poll(limit=1, timeout=timedelta(seconds=1)))
        assert found[0].data == b"hello"
        await subscription.commit(found)


@pytest.mark.engine
@pytest.mark.parametrize(
    "wrong", [{"password": "wrong"}, {"ca": ""}, {"tls": "false", "ca": ""}, {"login": "PLAIN", "user": "nobody"}]
)
async def test_a_kafka_that_does_not_let_us_in_is_named(
    secure_kafka: SecureKafka, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    settings = kafka_settings(secure_kafka, monkeypatch, **wrong)
    with pytest.raises(UnfitEngineError, match="who may log in") as caught:
        demand(await kafka_probe.probe(settings.cluster))
    assert secure_kafka.password not in str(caught.value)


@pytest.mark.engine
async def test_elasticsearch_by_tls(elasticsearch: Elasticsearch, shown: Certificate) -> None:
    port = httpx.URL(elasticsearch.url).port
    assert port is not None
    with encrypted(port, shown) as front:
        settings = elastic_settings(elasticsearch).model_copy(
            update={"elastic_url": f"https://127.0.0.1:{front}", "elastic_ca": shown.certificate}
        )
        library = uuid4()
        async with ElasticSearchIndex.open(settings) as index:
            await index.put([document(library)])
            assert await index.count(library, Everything()) == 1
            (version,) = await index._versions.written()
            await index._client.indices.delete(index=version.name)
        stranger = settings.model_copy(update={"elastic_ca": None})
        with pytest.raises(UnfitEngineError, match=r"TlsError|ConnectionError"):
            demand(await elastic_probe.probe(stranger))


@pytest.mark.engine
async def test_s3_by_tls(versitygw: Versitygw, shown: Certificate) -> None:
    with encrypted(versitygw.port, shown) as front:
        settings = versitygw.settings().model_copy(
            update={"s3_endpoint": f"https://127.0.0.1:{front}", "s3_ca": shown.certificate}
        )
        with closing(S3Bucket(settings)) as bucket:
            demand(await s3_probe.probe(bucket))
            blobs = S3Blobs(bucket)
            await blobs.put("large", pieces(bytes(20_000_000)))
            assert await content_of(blobs, "large") == bytes(20_000_000)
        stranger = settings.model_copy(update={"s3_ca": None})
        with closing(S3Bucket(stranger)) as bucket, pytest.raises(UnfitEngineError, match="CERTIFICATE_VERIFY_FAILED"):
            demand([await s3_probe.reach(bucket)])


QDRANT = b'{"title": "qdrant", "version": "1.20.0", "result": {"collections": []}, "status": "ok", "time": 0}'


async def test_qdrant_by_tls_with_its_key(shown: Certificate) -> None:
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            asked.append(head.decode().lower())
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n")
            writer.write(f"content-length: {len(QDRANT)}\r\n\r\n".encode() + QDRANT)
            await writer.drain()
            break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        with encrypted(server.sockets[0].getsockname()[1], shown) as front:
            settings = QdrantSettings(
                qdrant_url=f"https://127.0.0.1:{front}", qdrant_ca=shown.certificate, qdrant_api_key=SecretStr("hush")
            )
            demand([await qdrant_probe.probe(settings)])
            assert asked
            assert all("api-key: hush" in head for head in asked)
            with pytest.raises(UnfitEngineError, match="ConnectError"):
                demand([await qdrant_probe.probe(settings.model_copy(update={"qdrant_ca": None}))])


def refusing_tls(listener: socket.socket) -> None:
    """Answer PostgreSQL's question for TLS as a server that has none."""
    client, _ = listener.accept()
    with client:
        client.recv(8)
        client.sendall(b"N")
        client.recv(1)


async def test_a_database_whose_address_wants_tls_is_not_spoken_to_without() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refusing_tls, args=[listener])
        thread.start()
        url = f"postgresql://me:hush@127.0.0.1:{listener.getsockname()[1]}/g?sslmode=require"
        with pytest.raises(UnfitEngineError, match="SSL") as caught:
            async with reached(url):
                pytest.fail("reached")
        thread.join()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"LOGIN": "PLAIN", "USER": "me"}, "belong together"),
        ({"USER": "me", "PASSWORD": "hush"}, "belong together"),
        ({"CA": "/ca.pem"}, "of no use without kafka_tls"),
        ({"LOGIN": "MD5"}, "SCRAM-SHA-512"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], told: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"GALLERY_KAFKA_{name}", value)
    with pytest.raises(SettingsError, match=told) as caught:
        load(KafkaSettings)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    settings: Any = KafkaSettings(kafka_tls=True, kafka_ca=file)
    with pytest.raises(SettingsError, match=r"kafka_ca: .*ca\.pem"):
        _ = settings.cluster
