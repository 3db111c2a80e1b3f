"""A look at every engine that a profile chooses, for the doctor."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from gallery.adapters import postgres_probe
from gallery.adapters.elastic_settings import ElasticSettings
from gallery.adapters.findings import Finding
from gallery.adapters.in_place_rules import AllowedPlaces, PlacesError
from gallery.adapters.in_place_settings import InPlaceSettings
from gallery.adapters.kafka_settings import KafkaSettings
from gallery.adapters.profile import BlobStore, Carrier, Index, Profile, VectorStore
from gallery.adapters.qdrant_settings import QdrantSettings
from gallery.adapters.s3_settings import S3Settings

_REACH_OTHERS = "check the buckets that GALLERY_IN_PLACE names, GALLERY_IN_PLACE_ENDPOINT and GALLERY_IN_PLACE_KEY_ID"


async def examined(profile: Profile, *, services: Sequence[str]) -> AsyncIterator[Finding]:
    """Yield what is found of each; one that was not chosen is not asked, one that is away says so.

    Args:
        profile: Whose engines.
        services: Whose schemas.
    """
    choices = profile.choices
    if choices.database_url is not None:
        for each in await postgres_probe.probe(profile.url, services=services):
            yield each
    if choices.bus is Carrier.KAFKA:
        from gallery.adapters import kafka_probe

        for each in await kafka_probe.probe(profile.settings(KafkaSettings).cluster):
            yield each
    for each in await _stores(profile):
        yield each
    if choices.search_index is Index.ELASTICSEARCH:
        from gallery.adapters import elastic_probe

        for each in await elastic_probe.probe(profile.settings(ElasticSettings)):
            yield each
    if choices.vectors is VectorStore.QDRANT:
        from gallery.adapters import qdrant_probe

        yield await qdrant_probe.probe(profile.settings(QdrantSettings))


async def _stores(profile: Profile) -> list[Finding]:
    ours = await _s3(profile.settings(S3Settings)) if profile.choices.blobs is BlobStore.S3 else []
    return [*ours, *await _others(profile.settings(InPlaceSettings))]


async def _s3(settings: S3Settings) -> list[Finding]:
    from gallery.adapters import s3_probe

    with s3_probe.looked_at(settings) as bucket:
        there = await s3_probe.reach(bucket)
        return [there, *(await s3_probe.probe(bucket) if there.ok else ())]


async def _others(settings: InPlaceSettings) -> list[Finding]:
    """Look at the buckets in which originals of others may stay; nothing is written there."""
    try:
        buckets = AllowedPlaces(settings.in_place).buckets
    except PlacesError as error:
        return [Finding("originals in place", ok=False, found=str(error), advice="mend GALLERY_IN_PLACE")]
    if not buckets:
        return []
    from gallery.adapters import s3_probe

    found = []
    for name in buckets:
        with s3_probe.looked_at(settings.of_bucket(name)) as bucket:
            there = await s3_probe.reach(bucket)
        found.append(replace(there, check=f"originals in place, {name}", advice=_REACH_OTHERS))
    return found
