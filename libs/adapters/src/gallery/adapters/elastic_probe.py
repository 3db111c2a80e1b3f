"""Whether Elasticsearch is there, new enough, lets us in, and has nobody else's index under our name."""

from typing import TYPE_CHECKING

from gallery.adapters.elastic_client import ElasticRefusedError, ElasticUnavailableError, connected, translated
from gallery.adapters.elastic_settings import ElasticSettings
from gallery.adapters.elastic_versions import Versions
from gallery.adapters.findings import Finding
from gallery.runtime.errors import UnfitEngineError

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

NEEDED = "9"
_ADVICE = "it needs Elasticsearch 9: start it, or check GALLERY_ELASTIC_URL and GALLERY_ELASTIC_API_KEY"


async def probe(settings: ElasticSettings) -> list[Finding]:
    """Look, and change nothing."""
    async with connected(settings) as client:
        try:
            versions = await Versions(client, settings).serving()
        except UnfitEngineError as error:
            sentence, _, advice = str(error).partition("; ")
            return [Finding("elasticsearch index", ok=False, found=sentence, advice=advice)]
        except (ElasticUnavailableError, ElasticRefusedError) as error:
            told = f"{settings.elastic_url} cannot be used ({error})"
            return [Finding("elasticsearch", ok=False, found=told, advice=_ADVICE)]
        number = await _version(client)
        there = Finding(
            "elasticsearch",
            ok=number.split(".")[0] in (NEEDED, ""),
            found=f"version {number or 'not told to us'} at {settings.elastic_url}",
            advice=_ADVICE,
        )
    index = versions[0].name if versions else "none yet; search makes it at its start"
    return [there, Finding("elasticsearch index", ok=True, found=index)]


async def _version(client: "AsyncElasticsearch") -> str:
    """Return what it says of itself; nothing where that is not for us, as a key for one index only is not told."""
    try:
        with translated():
            number: str = (await client.info())["version"]["number"]
    except (ElasticUnavailableError, ElasticRefusedError):
        return ""
    return number
