"""A look at every engine that a profile chooses, for the doctor."""

from collections.abc import AsyncIterator, Sequence

from gallery.adapters import postgres_probe
from gallery.adapters.elastic_settings import ElasticSettings
from gallery.adapters.findings import Finding
from gallery.adapters.kafka_settings import KafkaSettings
from gallery.adapters.profile import BlobStore, Carrier, Index, Profile, VectorStore
from gallery.adapters.qdrant_settings import QdrantSettings
from gallery.adapters.s3_settings import S3Settings


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
    if choices.blobs is BlobStore.S3:
        for each in await _s3(profile.settings(S3Settings)):
            yield each
    if choices.search_index is Index.ELASTICSEARCH:
        from gallery.adapters import elastic_probe

        for each in await elastic_probe.probe(profile.settings(ElasticSettings)):
            yield each
    if choices.vectors is VectorStore.QDRANT:
        from gallery.adapters import qdrant_probe

        yield await qdrant_probe.probe(profile.settings(QdrantSettings))


async def _s3(settings: S3Settings) -> list[Finding]:
    from gallery.adapters import s3_probe

    with s3_probe.looked_at(settings) as bucket:
        there = await s3_probe.reach(bucket)
        return [there, *(await s3_probe.probe(bucket) if there.ok else ())]
