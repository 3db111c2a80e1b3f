"""The right decoder for each type."""

from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.heif import decode_heif
from gallery.ml_worker.media.jpeg import decode_jpeg
from gallery.ml_worker.media.pillow import decode_with_pillow
from gallery.ml_worker.media.raw import decode_raw
from gallery.ml_worker.media.source import Decoded, PixelBudget
from gallery.ml_worker.media.video import decode_video
from gallery.runtime.media_types import HEAD, Kind, MediaType, detect


def decode(head: bytes, tail: bytes, size: int, budget: PixelBudget) -> Decoded:
    """Decode a file by what its content is.

    Args:
        head: The file, or of a video its first bytes.
        tail: Of a video its last bytes, where these are not in ``head``.
        size: Of the file.
        budget: Limit on pixels.

    Raises:
        RejectedError: ``empty``, ``unsupported_type``, ``truncated``, ``undecodable``, ``too_many_pixels``,
            ``too_many_scans``.
    """
    if not head:
        raise RejectedError("empty", "the file has no content")
    media_type = detect(head[:HEAD])
    if media_type is None:
        raise RejectedError("unsupported_type", "its content is of no type that is accepted")
    if media_type.kind is Kind.VIDEO:
        return decode_video(head, tail, size, budget)
    if media_type.kind is Kind.RAW:
        return decode_raw(head, budget)
    if media_type is MediaType.JPEG:
        return decode_jpeg(head, budget)
    if media_type in {MediaType.HEIC, MediaType.HEIF}:
        return decode_heif(head, budget)
    return decode_with_pillow(head, budget)
