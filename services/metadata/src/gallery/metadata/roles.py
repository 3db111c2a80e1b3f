"""The processes of this service in the distributed profile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gallery.adapters.profile import Profile
from gallery.metadata.main import SERVICE, consuming, serving
from gallery.metadata.settings import MetadataSettings
from gallery.runtime import process
from gallery.runtime.http import create_app
from gallery.runtime.neighbours import Service


@asynccontextmanager
async def serve() -> AsyncIterator[FastAPI]:
    """Answer about the catalogue, and take what people decide."""
    profile = Profile.read(MetadataSettings)
    async with (
        profile.database(SERVICE) as database,
        serving(settings=profile.settings(MetadataSettings), database=database) as app,
    ):
        yield app


@asynccontextmanager
async def consume() -> AsyncIterator[FastAPI]:
    """Follow the facts."""
    profile = Profile.read(MetadataSettings)
    async with (
        profile.database(SERVICE) as database,
        profile.blobs() as blobs,
        profile.bus(SERVICE) as bus,
        profile.neighbour(Service.UPLOAD) as upload,
        consuming(settings=profile.settings(MetadataSettings), database=database, blobs=blobs, bus=bus, upload=upload),
    ):
        yield create_app(title="Smart Gallery metadata, consuming", routers=[], ready=database.ready)


async def migrate() -> None:
    """Bring the schema up to date."""
    await Profile.read(MetadataSettings).migrate(SERVICE)


def main() -> int:
    """Run what the command line names."""
    return process.main("gallery-metadata", roles={"serve": serve, "consume": consume}, jobs={"migrate": migrate})
