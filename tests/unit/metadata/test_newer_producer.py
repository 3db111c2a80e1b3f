"""Facts of a release to come: what we have no word for is passed over, and said again it is not too late."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.message import Message as Body
from support.metadata import Service, analysed, fact, metadata_service

from gallery.events.topics import Topic
from gallery.events.v1 import analysis_pb2 as analysis
from gallery.metadata.errors import MalformedFactError
from gallery.runtime.ids import uuid7

POSTPONED = {"stage": "text", "state": "STAGE_STATE_POSTPONED"}
OBJECTS = {"stage": "objects", "state": "STAGE_STATE_DONE"}
RENDERED = {"stage": "rendered", "state": "STAGE_STATE_DONE"}
FACE = UUID(int=9)


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    async with metadata_service(database_url) as opened:
        yield opened


async def states(service: Service, photo_id: UUID) -> dict[str, str]:
    rows = await service.rows("SELECT stage, state FROM ledger WHERE photo_id = %s", photo_id)
    return {row["stage"]: row["state"] for row in rows}


async def test_an_outcome_of_the_future_leaves_its_stage_as_it_is(
    service: Service, of_next: Mapping[str, type[Body]]
) -> None:
    photo_id = uuid7()
    said = {"photo_id": str(photo_id), "stages": [POSTPONED, OBJECTS, RENDERED], "objects": 3}
    newer = json_format.ParseDict(said, of_next["PhotoAnalysed"]())
    await service.hear(fact(Topic.ANALYSIS, photo_id, newer, revision=4))
    known = await states(service, photo_id)
    assert (known["rendered"], known["text"]) == ("done", "pending")
    assert "objects" not in known
    await service.hear(analysed(photo_id, {"text": "done"}, revision=4))  # as those who understand it hear it again
    assert (await states(service, photo_id))["text"] == "done"


async def test_a_face_of_the_future_is_nobody_s(service: Service, of_next: Mapping[str, type[Body]]) -> None:
    photo_id = uuid7()
    face = {"face_id": str(FACE), "person_id": str(uuid7()), "state": "FACE_STATE_STRANGER"}
    newer = json_format.ParseDict({"photo_id": str(photo_id), "faces": [face]}, of_next["FacesProposed"]())
    await service.hear(fact(Topic.ANALYSIS, photo_id, newer, revision=1))
    assert await service.rows("SELECT id, person_id, state FROM faces") == [
        {"id": FACE, "person_id": None, "state": "unassigned"}
    ]


@pytest.mark.parametrize(
    "outcome",
    [{"stage": "text"}, {"stage": "indexed", "state": "STAGE_STATE_DONE"}],
    ids=["no state", "not its own stage"],
)
async def test_what_no_release_would_say_is_still_refused(service: Service, outcome: dict[str, Any]) -> None:
    photo_id = uuid7()
    body = json_format.ParseDict({"photo_id": str(photo_id), "stages": [outcome]}, analysis.PhotoAnalysed())
    with pytest.raises(MalformedFactError):
        await service.hear(fact(Topic.ANALYSIS, photo_id, body, revision=1))
