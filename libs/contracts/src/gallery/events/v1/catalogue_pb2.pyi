from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PhotoChanged(_message.Message):
    __slots__ = ("photo_id",)
    PHOTO_ID_FIELD_NUMBER: _ClassVar[int]
    photo_id: str
    def __init__(self, photo_id: _Optional[str] = ...) -> None: ...

class PersonNamed(_message.Message):
    __slots__ = ("person_id", "decisions_revision", "face_ids")
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_REVISION_FIELD_NUMBER: _ClassVar[int]
    FACE_IDS_FIELD_NUMBER: _ClassVar[int]
    person_id: str
    decisions_revision: int
    face_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, person_id: _Optional[str] = ..., decisions_revision: _Optional[int] = ..., face_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class FaceJudged(_message.Message):
    __slots__ = ("photo_id", "face_id", "person_id", "decisions_revision")
    PHOTO_ID_FIELD_NUMBER: _ClassVar[int]
    FACE_ID_FIELD_NUMBER: _ClassVar[int]
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_REVISION_FIELD_NUMBER: _ClassVar[int]
    photo_id: str
    face_id: str
    person_id: str
    decisions_revision: int
    def __init__(self, photo_id: _Optional[str] = ..., face_id: _Optional[str] = ..., person_id: _Optional[str] = ..., decisions_revision: _Optional[int] = ...) -> None: ...
