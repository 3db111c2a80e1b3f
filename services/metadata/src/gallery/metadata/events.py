"""Facts of others, as they come in: to domain values, to the use case.

A producer may be of a newer release than we are, with fields, values and stages that we have no word for. They are
passed over; once all of us are of that release, it says its facts again (docs/adr/0015-two-releases-at-once.md).
"""

from collections.abc import Mapping
from uuid import UUID

from gallery.events.v1.analysis_pb2 import (
    FACE_STATE_ASSIGNED,
    FACE_STATE_IGNORED,
    FACE_STATE_SUGGESTED,
    FACE_STATE_UNASSIGNED,
    STAGE_STATE_DONE,
    STAGE_STATE_FAILED,
    STAGE_STATE_REJECTED,
    FaceProposal,
    FacesProposed,
    PhotoAnalysed,
    StageOutcome,
    StageState,
)
from gallery.events.v1.analysis_pb2 import (
    FaceState as SaidFaceState,
)
from gallery.events.v1.search_pb2 import PhotoIndexed
from gallery.events.v1.uploads_pb2 import PhotoUploaded
from gallery.metadata.domain import FaceState, Outcome, Proposal, Stage, State
from gallery.metadata.errors import MalformedFactError
from gallery.metadata.photo_facts import PhotoFacts
from gallery.runtime.consumer import Delivery, Handler

_STATES = {
    STAGE_STATE_DONE: State.DONE,
    STAGE_STATE_FAILED: State.FAILED,
    STAGE_STATE_REJECTED: State.REJECTED,
}
_FACE_STATES = {
    FACE_STATE_ASSIGNED: FaceState.ASSIGNED,
    FACE_STATE_SUGGESTED: FaceState.SUGGESTED,
    FACE_STATE_UNASSIGNED: FaceState.UNASSIGNED,
    FACE_STATE_IGNORED: FaceState.IGNORED,
}


class Facts:
    """The facts that this service follows."""

    def __init__(self, photos: PhotoFacts) -> None:
        self._photos = photos

    def handlers(self) -> Mapping[type, Handler]:
        """Say who handles what."""
        return {
            PhotoUploaded: self.photo_uploaded,
            PhotoAnalysed: self.photo_analysed,
            FacesProposed: self.faces_proposed,
            PhotoIndexed: self.photo_indexed,
        }

    async def photo_uploaded(self, delivery: Delivery, body: PhotoUploaded) -> None:
        """An original is stored."""
        await self._photos.describe(delivery, _id(body.photo_id), blob_key=body.blob_key)

    async def photo_analysed(self, delivery: Delivery, body: PhotoAnalysed) -> None:
        """Stages came to an end."""
        outcomes = [_outcome(said) for said in body.stages if _is_understood(said)]
        await self._photos.note_analysis(delivery, _id(body.photo_id), outcomes, size=(body.width, body.height))

    async def faces_proposed(self, delivery: Delivery, body: FacesProposed) -> None:
        """The machine has an opinion."""
        proposals = [_proposal(face) for face in body.faces]
        await self._photos.note_proposals(
            delivery, _id(body.photo_id), proposals, known_revision=body.decisions_revision
        )

    async def photo_indexed(self, delivery: Delivery, body: PhotoIndexed) -> None:
        """A photo can be found."""
        await self._photos.note_indexed(delivery, _id(body.photo_id), revision=body.catalogue_revision)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise MalformedFactError("an id is no UUID") from error


def _is_understood(said: StageOutcome) -> bool:
    """Whether this release has words for it."""
    return said.stage in set(Stage) and said.state in StageState.values()


def _outcome(said: StageOutcome) -> Outcome:
    state = _STATES.get(said.state)
    if state is None or said.stage in {Stage.DESCRIBED, Stage.INDEXED}:
        raise MalformedFactError(f"analysis cannot say {said.state} of the stage {said.stage!r}")
    return Outcome(Stage(said.stage), state, said.reason, said.pack, said.attempts)


def _proposal(said: FaceProposal) -> Proposal:
    """What a newer release thinks of a face names nobody to us."""
    if said.state not in SaidFaceState.values():
        return Proposal(_id(said.face_id), None, FaceState.UNASSIGNED)
    state = _FACE_STATES.get(said.state)
    if state is None:
        raise MalformedFactError(f"a face cannot be {said.state}")
    return Proposal(_id(said.face_id), _id(said.person_id) if said.person_id else None, state)
