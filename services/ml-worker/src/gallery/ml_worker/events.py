"""Facts of others as they come in, and ours as they go out."""

from collections.abc import Iterator, Mapping
from uuid import UUID

from google.protobuf.message import Message as Body

from gallery.events.topics import Topic
from gallery.events.v1 import analysis_pb2 as pb
from gallery.events.v1.uploads_pb2 import LANE_INTERACTIVE, PhotoUploaded
from gallery.ml_worker.domain import End, Photo, State
from gallery.ml_worker.people.decisions import DECISION_HANDLERS
from gallery.ml_worker.store import PhotoStore
from gallery.runtime.consumer import Delivery, Handler
from gallery.runtime.errors import PermanentError
from gallery.runtime.leases import Lane
from gallery.runtime.outbox import Fact

NO_PACK, NO_FACES = "no_pack", "no_faces"

_STATES = {
    State.DONE: pb.STAGE_STATE_DONE,
    State.FAILED: pb.STAGE_STATE_FAILED,
    State.REJECTED: pb.STAGE_STATE_REJECTED,
}


class MalformedFactError(PermanentError):
    """A fact that says what no producer of ours would say."""


def handlers(store: PhotoStore) -> Mapping[type[Body], Handler]:
    """Say who handles what."""

    async def photo_uploaded(delivery: Delivery, body: PhotoUploaded) -> None:
        photo = _photo(delivery.message.library_id, body)
        lane = Lane.INTERACTIVE if body.lane == LANE_INTERACTIVE else Lane.BACKFILL
        async with delivery.transaction() as tx:
            await store.take_in(tx, photo, lane=lane)

    return {PhotoUploaded: photo_uploaded, **DECISION_HANDLERS}


def photo_analysed(photo_id: UUID, library_id: UUID, end: End, *, revision: int) -> Fact:
    """Say how the analysis of a photo ended; the stage of people ends later when there are faces."""
    body = pb.PhotoAnalysed(
        photo_id=str(photo_id), stages=_stages(end), width=end.width, height=end.height, faces=end.faces
    )
    return Fact(Topic.ANALYSIS, str(photo_id), library_id, revision, body)


def _stages(end: End) -> Iterator[pb.StageOutcome]:
    packs = {"faces": end.packs.face, "tags": end.packs.tag, "text": None}
    for stage in ("rendered", "faces", "tags", "text"):
        pack = packs.get(stage)
        missing = NO_PACK if stage in packs and pack is None else ""
        yield _outcome(end, stage, reason=missing, pack=pack or "")
    if end.state is not State.DONE or not end.faces:
        yield _outcome(end, "people", reason=NO_FACES if end.packs.face else NO_PACK, pack=end.packs.face or "")


def _outcome(end: End, stage: str, *, reason: str, pack: str) -> pb.StageOutcome:
    return pb.StageOutcome(
        stage=stage,
        state=_STATES[end.state],
        reason=reason if end.state is State.DONE else end.reason,
        pack=pack if end.state is State.DONE else "",
        attempts=end.attempts,
    )


def _photo(library_id: UUID, body: PhotoUploaded) -> Photo:
    try:
        photo_id = UUID(body.photo_id)
    except ValueError as error:
        raise MalformedFactError("an id is no UUID") from error
    return Photo(
        id=photo_id,
        library_id=library_id,
        blob_key=body.blob_key,
        sha256=body.sha256,
        size=body.size_bytes,
        media_type=body.media_type,
    )
