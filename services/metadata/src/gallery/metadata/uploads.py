"""The upload service over HTTP."""

from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError

from gallery.metadata.domain import Original
from gallery.metadata.errors import OriginalUnknownError, UploadUnavailableError


class _Answer(BaseModel):
    """What upload says; fields that we do not need are passed over."""

    photo_id: UUID
    file: str
    size: int
    sha256: str
    media_type: str
    blob_key: str
    uploaded_at: datetime
    modified_at: datetime | None = None
    said: dict[str, Any] | None = None


class HttpUploads:
    """Asks the upload service."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def original(self, library_id: UUID, photo_id: UUID) -> Original:
        """See ``Uploads.original``."""
        try:
            answer = await self._client.get(f"/internal/v1/libraries/{library_id}/uploads/{photo_id}")
        except httpx.HTTPError as error:
            raise UploadUnavailableError("the upload service does not answer") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise OriginalUnknownError("the upload service has no such photo")
        if not answer.is_success:
            raise UploadUnavailableError(f"the upload service answered {answer.status_code}")
        try:
            told = _Answer.model_validate_json(answer.content)
        except ValidationError as error:
            raise UploadUnavailableError("the upload service answered something else than an upload") from error
        return Original(**told.model_dump(exclude={"sha256"}), sha256=bytes.fromhex(told.sha256))
