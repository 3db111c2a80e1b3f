from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StageState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_STATE_UNSPECIFIED: _ClassVar[StageState]
    STAGE_STATE_DONE: _ClassVar[StageState]
    STAGE_STATE_FAILED: _ClassVar[StageState]
    STAGE_STATE_REJECTED: _ClassVar[StageState]

class FaceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FACE_STATE_UNSPECIFIED: _ClassVar[FaceState]
    FACE_STATE_ASSIGNED: _ClassVar[FaceState]
    FACE_STATE_SUGGESTED: _ClassVar[FaceState]
    FACE_STATE_UNASSIGNED: _ClassVar[FaceState]
    FACE_STATE_IGNORED: _ClassVar[FaceState]
STAGE_STATE_UNSPECIFIED: StageState
STAGE_STATE_DONE: StageState
STAGE_STATE_FAILED: StageState
STAGE_STATE_REJECTED: StageState
FACE_STATE_UNSPECIFIED: FaceState
FACE_STATE_ASSIGNED: FaceState
FACE_STATE_SUGGESTED: FaceState
FACE_STATE_UNASSIGNED: FaceState
FACE_STATE_IGNORED: FaceState

class PhotoAnalysed(_message.Message):
    __slots__ = ("photo_id", "stages", "width", "height", "faces")
    PHOTO_ID_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FACES_FIELD_NUMBER: _ClassVar[int]
    photo_id: str
    stages: _containers.RepeatedCompositeFieldContainer[StageOutcome]
    width: int
    height: int
    faces: int
    def __init__(self, photo_id: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[StageOutcome, _Mapping]]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., faces: _Optional[int] = ...) -> None: ...

class StageOutcome(_message.Message):
    __slots__ = ("stage", "state", "reason", "pack", "attempts")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    stage: str
    state: StageState
    reason: str
    pack: str
    attempts: int
    def __init__(self, stage: _Optional[str] = ..., state: _Optional[_Union[StageState, str]] = ..., reason: _Optional[str] = ..., pack: _Optional[str] = ..., attempts: _Optional[int] = ...) -> None: ...

class FacesProposed(_message.Message):
    __slots__ = ("photo_id", "faces", "decisions_revision")
    PHOTO_ID_FIELD_NUMBER: _ClassVar[int]
    FACES_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_REVISION_FIELD_NUMBER: _ClassVar[int]
    photo_id: str
    faces: _containers.RepeatedCompositeFieldContainer[FaceProposal]
    decisions_revision: int
    def __init__(self, photo_id: _Optional[str] = ..., faces: _Optional[_Iterable[_Union[FaceProposal, _Mapping]]] = ..., decisions_revision: _Optional[int] = ...) -> None: ...

class FaceProposal(_message.Message):
    __slots__ = ("face_id", "person_id", "state")
    FACE_ID_FIELD_NUMBER: _ClassVar[int]
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    face_id: str
    person_id: str
    state: FaceState
    def __init__(self, face_id: _Optional[str] = ..., person_id: _Optional[str] = ..., state: _Optional[_Union[FaceState, str]] = ...) -> None: ...
