"""The processes that put the outboxes into Kafka, one for each service that says something."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from gallery.adapters import kafka_probe
from gallery.adapters.findings import demand
from gallery.adapters.kafka_relay import KafkaRelay
from gallery.adapters.kafka_settings import KafkaSettings
from gallery.adapters.postgres_bus import PostgresBus
from gallery.adapters.profile import PRODUCERS, Profile
from gallery.events.topics import CATALOGUE
from gallery.runtime import process
from gallery.runtime.background import background
from gallery.runtime.http import create_app

SERVICES = sorted({entry.producer for entry in CATALOGUE.values()})


@asynccontextmanager
async def _relaying(service: str) -> AsyncIterator[FastAPI]:
    """Publish what one service says."""
    profile, schema = Profile.read(), service.replace("-", "_")
    cluster = profile.settings(KafkaSettings).cluster
    demand(await kafka_probe.probe(cluster, topics=kafka_probe.topics_of(service)))
    async with (
        profile.database(schema) as database,
        PostgresBus.open(profile.url, home=schema, producers=PRODUCERS) as outbox,
    ):
        relay = KafkaRelay(
            service=schema,
            outbox=outbox,
            topics=[topic for topic, producer in PRODUCERS.items() if producer == schema],
            cluster=cluster,
        )
        async with background(relay=relay.run()):
            yield create_app(title=f"Smart Gallery relay of {service}", routers=[], ready=database.ready)


def main() -> int:
    """Run the relay of the service that the command line names."""
    return process.main("gallery-relay", roles={service: partial(_relaying, service) for service in SERVICES}, jobs={})
