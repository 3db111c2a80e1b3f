"""The processes of this service in the distributed profile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gallery.adapters.profile import Profile
from gallery.gateway.main import SERVICE, serving
from gallery.gateway.settings import GatewaySettings
from gallery.runtime import process
from gallery.runtime.neighbours import Service


@asynccontextmanager
async def serve() -> AsyncIterator[FastAPI]:
    """Serve the public API."""
    profile = Profile.read(GatewaySettings)
    async with (
        profile.database(SERVICE) as database,
        profile.neighbour(Service.UPLOAD) as upload,
        profile.neighbour(Service.METADATA) as metadata,
        profile.neighbour(Service.ML_WORKER) as ml_worker,
        profile.neighbour(Service.SEARCH) as search,
        serving(
            settings=profile.settings(GatewaySettings),
            database=database,
            services={"upload": upload, "metadata": metadata, "ml_worker": ml_worker, "search": search},
            data=profile.folder,
        ) as app,
    ):
        yield app


async def migrate() -> None:
    """Bring the schema up to date."""
    await Profile.read(GatewaySettings).migrate(SERVICE)


def main() -> int:
    """Run what the command line names."""
    return process.main("gallery-gateway", roles={"serve": serve}, jobs={"migrate": migrate})
