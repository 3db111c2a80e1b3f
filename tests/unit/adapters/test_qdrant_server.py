"""What a Qdrant server is asked, and what its answers become; the contract runs over the client's imitation of one."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest

from gallery.adapters.qdrant_settings import QdrantSettings
from gallery.adapters.qdrant_vectors import QdrantRefusedError, QdrantUnavailableError, QdrantVectors
from gallery.ports.vectors import Point
from gallery.runtime.retry import is_transient

LIBRARY, POINT = UUID(int=1), UUID(int=2)
VECTOR = np.array([1.0, 0.0], dtype=np.float32)
OF_THE_LIBRARY = {"key": "library_id", "match": {"value": LIBRARY.hex}}


@dataclass
class Server:
    """Remembers requests, and answers as the REST interface describes."""

    there: bool = False
    indexed: bool = False
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = f"{request.method} {request.url.path}"
        self.asked.append((path, dict(request.url.params), json.loads(request.content or b"null")))
        match path:
            case "GET /collections/g-faces/exists":
                return self._told({"exists": self.there})
            case "PUT /collections/g-faces":
                return self._told(True)
            case "GET /collections/g-faces":
                return self._told(self._described())
            case "POST /collections/g-faces/points/query":
                return self._told({"points": [{"id": str(POINT), "version": 1, "score": 1.0000001}]})
            case "POST /collections/g-faces/points/count":
                return self._told({"count": 7})
            case _:
                return self._told({"operation_id": 1, "status": "completed"})

    def bodies(self, path: str) -> list[Any]:
        return [body for asked, _, body in self.asked if asked == path]

    @staticmethod
    def _told(result: Any) -> httpx.Response:
        return httpx.Response(200, json={"result": result, "status": "ok", "time": 0.0})

    def _described(self) -> dict[str, Any]:
        schema = {"library_id": {"data_type": "keyword", "points": 0}} if self.indexed else {}
        hnsw = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000}
        optimizers = {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1, "default_segment_number": 0}
        return {
            "status": "green",
            "optimizer_status": "ok",
            "segments_count": 1,
            "payload_schema": schema,
            "config": {
                "params": {"vectors": {"size": 2, "distance": "Cosine"}},
                "hnsw_config": hnsw,
                "optimizer_config": {**optimizers, "flush_interval_sec": 5},
            },
        }


@asynccontextmanager
async def over(answer: Callable[[httpx.Request], httpx.Response]) -> AsyncIterator[QdrantVectors]:
    from qdrant_client import AsyncQdrantClient

    transport = httpx.MockTransport(answer)
    client = AsyncQdrantClient(url="http://qdrant:6333", check_compatibility=False, transport=transport)
    yield QdrantVectors(client, QdrantSettings(qdrant_prefix="g-", qdrant_replicas=2))
    await client.close()


async def test_a_collection_has_a_graph_within_each_tenant_only() -> None:
    server = Server()
    async with over(server) as vectors:
        await vectors.ensure("faces", dimension=2)
    (made,) = server.bodies("PUT /collections/g-faces")
    assert made["replication_factor"] == 2
    assert made["vectors"]["size"] == 2
    assert made["vectors"]["distance"] == "Cosine"
    assert made["vectors"]["hnsw_config"]["m"] == 0
    assert made["vectors"]["hnsw_config"]["payload_m"] == 16
    assert made["vectors"]["hnsw_config"]["full_scan_threshold"] == 30_000 * 2 * 4 // 1024, (
        "of vectors compared one by one"
    )
    (index,) = server.bodies("PUT /collections/g-faces/index")
    assert index["field_name"] == "library_id"
    assert index["field_schema"]["type"] == "keyword"
    assert index["field_schema"]["is_tenant"] is True


async def test_a_collection_that_was_made_by_half_is_finished_and_a_whole_one_left_alone() -> None:
    server = Server(there=True)
    async with over(server) as vectors:
        await vectors.ensure("faces", dimension=2)
        assert len(server.bodies("PUT /collections/g-faces/index")) == 1
        server.indexed = True
        await vectors.ensure("faces", dimension=2)
    assert len(server.bodies("PUT /collections/g-faces/index")) == 1
    assert not server.bodies("PUT /collections/g-faces")


async def test_two_processes_may_make_a_collection_at_once() -> None:
    server = Server()

    def other_was_quicker(request: httpx.Request) -> httpx.Response:
        answer = server(request)
        return httpx.Response(409) if request.method == "PUT" and request.url.path.endswith("/g-faces") else answer

    async with over(other_was_quicker) as vectors:
        await vectors.ensure("faces", dimension=2)
    assert len(server.bodies("PUT /collections/g-faces/index")) == 1, "whoever made it may have stopped half-way"


async def test_every_question_names_a_library_and_every_write_is_waited_for() -> None:
    server = Server()
    async with over(server) as vectors:
        await vectors.ensure("faces", dimension=2)
        server.asked.clear()
        await vectors.upsert("faces", [Point(POINT, LIBRARY, VECTOR)] * 501)
        await vectors.delete("faces", LIBRARY, [POINT])
        (found,) = await vectors.search("faces", LIBRARY, VECTOR, limit=3)
        assert (found.id, found.similarity) == (POINT, 1.0)
        assert await vectors.count("faces", LIBRARY) == 7
    first, second = server.bodies("PUT /collections/g-faces/points")
    assert [len(first["points"]), len(second["points"])] == [500, 1]
    assert second["points"][0] == {"id": str(POINT), "vector": [1.0, 0.0], "payload": {"library_id": LIBRARY.hex}}
    writes = [params for path, params, _ in server.asked if path.endswith(("/points", "/points/delete"))]
    assert len(writes) == 3
    assert all(params["wait"] == "true" for params in writes)
    for path in ("/points/delete", "/points/query", "/points/count"):
        (body,) = server.bodies(f"POST /collections/g-faces{path}")
        assert OF_THE_LIBRARY in body["filter"]["must"]
    assert {"has_id": [str(POINT)]} in server.bodies("POST /collections/g-faces/points/delete")[0]["filter"]["must"]


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (503, {}, QdrantUnavailableError),
        (429, {"Retry-After": "1"}, QdrantUnavailableError),
        (429, {}, QdrantUnavailableError),
        (404, {}, QdrantUnavailableError),
        (400, {}, QdrantRefusedError),
        (403, {}, QdrantRefusedError),
    ],
)
async def test_answers_become_errors_that_say_whether_to_try_again(
    status: int, headers: dict[str, str], error: type[Exception]
) -> None:
    async with over(lambda _: httpx.Response(status, headers=headers, json={"status": {"error": "why"}})) as vectors:
        with pytest.raises(error) as caught:
            await vectors.ensure("faces", dimension=2)
        assert is_transient(caught.value) == (error is QdrantUnavailableError)


async def test_a_server_that_is_away_is_tried_again_later() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with over(away) as vectors:
        with pytest.raises(QdrantUnavailableError, match="ConnectError"):
            await vectors.ensure("faces", dimension=2)
    async with QdrantVectors.open(QdrantSettings(qdrant_url="http://127.0.0.1:9")) as nobody:
        with pytest.raises(QdrantUnavailableError):
            await nobody.ensure("faces", dimension=2)
