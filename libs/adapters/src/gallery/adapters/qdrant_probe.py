"""Whether Qdrant is there, new enough, and lets us in."""

from typing import TYPE_CHECKING

from gallery.adapters.findings import Finding
from gallery.adapters.qdrant_settings import QdrantSettings
from gallery.adapters.qdrant_vectors import QdrantRefusedError, QdrantUnavailableError, connected, translated

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

OLDEST = (1, 15)
_ADVICE = "it needs Qdrant 1.15 or newer: start it, or check GALLERY_QDRANT_URL and GALLERY_QDRANT_API_KEY"


async def probe(settings: QdrantSettings) -> Finding:
    """Look, and change nothing."""
    async with connected(settings) as client:
        return await _look(client, settings.qdrant_url)


async def _look(client: "AsyncQdrantClient", url: str) -> Finding:
    try:
        with translated():
            version = (await client.info()).version
            collections = len((await client.get_collections()).collections)
    except (QdrantUnavailableError, QdrantRefusedError) as error:
        return Finding("qdrant", ok=False, found=f"{url} cannot be used ({error})", advice=_ADVICE)
    return Finding(
        "qdrant",
        ok=_number(version) >= OLDEST,
        found=f"version {version} at {url}, {collections} collections",
        advice=_ADVICE,
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
