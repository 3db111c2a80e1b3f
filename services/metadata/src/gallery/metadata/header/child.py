"""The function that runs in a jailed child: bytes of a file in, what they say out."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from gallery.metadata.header import blocks, boxes, exif, gps, times, xmp

# Codes of what could not be read; the photo is described all the same.
NO_HEADER = "no_header"
BROKEN_HEADER = "broken_header"


def describe(header: dict[str, Any], blobs: Sequence[memoryview]) -> tuple[dict[str, Any], list[bytes]]:
    """Read a header.

    Args:
        header: ``media_type`` of the file.
        blobs: One: the file, its beginning, or the ``moov`` box of a film.

    Returns:
        JSON values: ``camera``, ``lens``, ``exposure``, ``orientation``, ``gps``, ``times`` (best first), ``gps_time``
        (UTC), ``reason`` (empty, ``no_header`` or ``broken_header``). No blobs.
    """
    data = bytes(blobs[0]) if blobs else b""
    if str(header.get("media_type", "")).startswith("video/"):
        return _film(data), []
    return _still(data), []


def _film(data: bytes) -> dict[str, Any]:
    try:
        read = boxes.film(data)
    except (ValueError, IndexError):
        return _answer(reason=BROKEN_HEADER)
    stamps = []
    if parsed := times.wall_time(read.texts.get(boxes.APPLE_CREATED, "")):
        stamps.append(times.Stamp("quicktime:creationdate", *parsed))
    if read.created:
        stamps.append(times.Stamp("quicktime:mvhd", read.created.replace(tzinfo=None), 0))
    return _answer(
        camera=exif.camera_name(read.texts.get(boxes.APPLE_MAKE), read.texts.get(boxes.APPLE_MODEL)),
        position=gps.of_film(read.texts.get(boxes.APPLE_PLACE, "")),
        stamps=stamps,
        reason="" if stamps or read.texts else NO_HEADER,
    )


def _still(data: bytes) -> dict[str, Any]:
    found = blocks.find(data)
    tags = exif.read(found.exif)
    properties, torn = xmp.read(found.xmp or exif.xmp_of(found.exif))
    broken = found.broken or tags.broken or torn
    answer = _answer(
        camera=exif.camera(tags) or exif.camera_name(properties.get("tiff:Make"), properties.get("tiff:Model")),
        position=gps.position(tags)
        or gps.of_xmp(properties.get("exif:GPSLatitude", ""), properties.get("exif:GPSLongitude", "")),
        stamps=_stamps(tags, properties),
        instant=gps.instant(tags) or _xmp_instant(properties),
        reason=BROKEN_HEADER if broken else ("" if tags.values or properties else NO_HEADER),
    )
    return answer | {
        "lens": exif.lens(tags) or properties.get("exifEX:LensModel") or properties.get("aux:Lens"),
        "exposure": exif.exposure(tags),
        "orientation": exif.orientation(tags),
    }


def _stamps(tags: exif.Tags, properties: dict[str, str]) -> list[times.Stamp]:
    """EXIF before XMP, but what only says when the file was last changed comes last of all."""
    exif_times = times.of_exif(tags)
    changed = [stamp for stamp in exif_times if stamp.source == "exif:DateTime"]
    return [stamp for stamp in exif_times if stamp not in changed] + times.of_xmp(properties) + changed


def _xmp_instant(properties: dict[str, str]) -> datetime | None:
    """XMP's GPS time counts only when it says that it is UTC."""
    parsed = times.wall_time(properties.get("exif:GPSTimeStamp", properties.get("exif:GPSDateTime", "")))
    return parsed[0] if parsed and parsed[1] == 0 else None


def _answer(
    *,
    camera: str | None = None,
    position: gps.Position | None = None,
    stamps: Sequence[times.Stamp] = (),
    instant: datetime | None = None,
    reason: str = "",
) -> dict[str, Any]:
    return {
        "camera": camera,
        "lens": None,
        "exposure": {},
        "orientation": 1,
        "gps": asdict(position) if position else None,
        "times": [{"source": s.source, "wall": s.wall.isoformat(), "offset": s.offset} for s in stamps],
        "gps_time": instant.replace(tzinfo=None).isoformat() if instant else None,
        "reason": reason,
    }
