from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PhotoIndexed(_message.Message):
    __slots__ = ("photo_id", "catalogue_revision")
    PHOTO_ID_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_REVISION_FIELD_NUMBER: _ClassVar[int]
    photo_id: str
    catalogue_revision: int
    def __init__(self, photo_id: _Optional[str] = ..., catalogue_revision: _Optional[int] = ...) -> None: ...
