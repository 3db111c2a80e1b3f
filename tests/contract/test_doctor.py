"""The doctor on real engines, and processes that meet engines which somebody else uses under our names."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from support.engines.elasticsearch import Elasticsearch
from support.engines.kafka import Kafka
from support.engines.versitygw import Versitygw
from support.programs import BIN, refused

from gallery.adapters import kafka_topics
from gallery.adapters.findings import demand
from gallery.adapters.kafka_cluster import KafkaCluster
from gallery.adapters.s3_bucket import S3Bucket
from gallery.adapters.s3_probe import probe
from gallery.events.topics import Topic
from gallery.runtime.errors import UnfitEngineError
from gallery.runtime.migrations import migrate

pytestmark = pytest.mark.engine


@pytest.fixture
def index(elasticsearch: Elasticsearch) -> Iterator[str]:
    """A name of an index, which is removed."""
    name = f"photos_{uuid4().hex}"
    yield name
    httpx.delete(f"{elasticsearch.url}/{name}").close()


@pytest.fixture
def settings(
    kafka: Kafka, versitygw: Versitygw, elasticsearch: Elasticsearch, index: str, database_url: str, tmp_path: Path
) -> dict[str, str]:
    s3 = versitygw.settings()
    assert s3.s3_endpoint
    return {
        "GALLERY_DATA": str(tmp_path),
        "GALLERY_DATABASE_URL": database_url,
        "GALLERY_BUS": "kafka",
        "GALLERY_KAFKA_SERVERS": kafka.servers,
        "GALLERY_KAFKA_PREFIX": f"test-{uuid4().hex[:8]}.",
        "GALLERY_BLOBS": "s3",
        "GALLERY_S3_ENDPOINT": s3.s3_endpoint,
        "GALLERY_S3_BUCKET": s3.s3_bucket,
        "GALLERY_S3_KEY_ID": versitygw.key_id,
        "GALLERY_S3_SECRET": versitygw.secret,
        "GALLERY_SEARCH_INDEX": "elasticsearch",
        "GALLERY_ELASTIC_URL": elasticsearch.url,
        "GALLERY_ELASTIC_INDEX": index,
        "GALLERY_ELASTIC_REPLICAS": "0",
        "GALLERY_ELASTIC_TIMEOUT": "60",
    }


def doctor(settings: Mapping[str, str], *, code: int) -> dict[str, dict[str, Any]]:
    """What the command tells, by check."""
    done = subprocess.run(
        [BIN / "gallery", "doctor", "--json"], env={**os.environ, **settings}, capture_output=True, check=False
    )
    assert done.returncode == code, done
    return {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def cluster_of(settings: Mapping[str, str]) -> KafkaCluster:
    return KafkaCluster(settings["GALLERY_KAFKA_SERVERS"], settings["GALLERY_KAFKA_PREFIX"])


async def test_the_doctor_finds_engines_well_and_names_what_is_not(
    settings: dict[str, str], versitygw: Versitygw
) -> None:
    url = settings["GALLERY_DATABASE_URL"]
    await migrate(url, schema="upload", packages=["gallery.upload"])
    await kafka_topics.apply(cluster_of(settings))

    others = {f"GALLERY_IN_PLACE_{name}": settings[f"GALLERY_S3_{name}"] for name in ("ENDPOINT", "KEY_ID", "SECRET")}
    others["GALLERY_IN_PLACE"] = f"s3://{versitygw.settings().s3_bucket}/photos/{{library}}"
    checks = await asyncio.to_thread(doctor, settings | others, code=0)
    lacking = {name for name, check in checks.items() if not check["ok"]}
    assert lacking == {"s3 answers browsers of other sites"}
    assert not checks["s3 answers browsers of other sites"]["needed"]
    assert checks["kafka topics"]["found"] == "as the catalogue has them"
    assert checks["kafka"]["found"].startswith("version 4")
    assert checks["postgres"]["found"].startswith("version 18")
    assert checks["schema upload"] == {
        "check": "schema upload",
        "ok": True,
        "needed": True,
        "found": "up to date",
        "advice": "",
    }
    assert checks["elasticsearch index"]["found"].startswith("none yet")

    broken = {
        "GALLERY_S3_SECRET": "wrong",
        "GALLERY_KAFKA_PREFIX": "new.",
        "GALLERY_ELASTIC_URL": "http://127.0.0.1:9",
        "GALLERY_IN_PLACE": "s3://gone/a, s3://gone/b",
    }
    checks = await asyncio.to_thread(doctor, settings | others | broken, code=1)
    assert "GALLERY_IN_PLACE" in checks["originals in place, gone"]["advice"]
    assert not checks["originals in place, gone"]["ok"]
    assert "SignatureDoesNotMatch" in checks["s3"]["found"]
    assert "s3 keeps what is put" not in checks
    assert checks["kafka topics"]["advice"] == "run gallery topics apply"
    assert "GALLERY_ELASTIC_URL" in checks["elasticsearch"]["advice"]


async def test_topics_of_somebody_else_are_left_with_all_others(settings: dict[str, str]) -> None:
    cluster = cluster_of(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(cluster.called(Topic.UPLOADS), 3, 1)])
        for command in (("gallery-topics", "apply"), ("gallery-relay", "upload"), ("gallery", "topics", "apply")):
            sentence = await asyncio.to_thread(refused, *command, settings=settings)
            assert "gallery.uploads has partitions=3" in sentence
            assert "GALLERY_KAFKA_PREFIX" in sentence
        there = {name for name in await admin.list_topics() if name.startswith(cluster.prefix)}
    finally:
        await admin.close()
    assert there == {cluster.called(Topic.UPLOADS)}


async def test_an_index_of_somebody_else_is_left_as_it_is(settings: dict[str, str], index: str) -> None:
    url = settings["GALLERY_ELASTIC_URL"]
    async with httpx.AsyncClient(base_url=url) as elastic:
        mapping = {"mappings": {"properties": {"title": {"type": "keyword"}}}, "settings": {"number_of_replicas": 0}}
        (await elastic.put(f"/{index}", json=mapping)).raise_for_status()
        before = (await elastic.get(f"/{index}*")).json()
        await migrate(settings["GALLERY_DATABASE_URL"], schema="search", packages=["gallery.search"])
        for role in ("serve", "remake"):
            sentence = await asyncio.to_thread(refused, "gallery-search", role, settings=settings)
            assert f"the index {index} in Elasticsearch is another's" in sentence
            assert "GALLERY_ELASTIC_INDEX" in sentence
        assert (await elastic.get(f"/{index}*")).json() == before


async def test_a_bucket_that_is_missing_is_not_made(settings: dict[str, str], versitygw: Versitygw) -> None:
    await migrate(settings["GALLERY_DATABASE_URL"], schema="upload", packages=["gallery.upload"])
    missing = f"bucket-{uuid4().hex}"
    sentence = await asyncio.to_thread(
        refused, "gallery-upload", "serve", settings=settings | {"GALLERY_S3_BUCKET": missing}
    )
    assert "NoSuchBucket" in sentence
    assert "GALLERY_S3_BUCKET" in sentence
    assert not (versitygw.data / missing).exists()


async def test_a_store_that_takes_bytes_that_were_cut_off_is_refused(versitygw: Versitygw) -> None:
    def deaf(*, request: Any, **_: Any) -> None:
        del request.headers["x-amz-checksum-sha256"]

    with closing(S3Bucket(versitygw.settings())) as bucket:
        bucket._client.meta.events.register("before-sign.s3", deaf)
        with pytest.raises(UnfitEngineError, match="refuses other bytes than were signed: it took them"):
            demand(each for each in await probe(bucket) if not each.passing)
