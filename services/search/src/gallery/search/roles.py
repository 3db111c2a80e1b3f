"""The processes of this service in the distributed profile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gallery.adapters.profile import Profile
from gallery.runtime import process
from gallery.runtime.http import create_app
from gallery.runtime.neighbours import Service
from gallery.search.main import SERVICE, consuming, serving
from gallery.search.rebuilding import rebuild_everything
from gallery.search.settings import SearchSettings
from gallery.search.store import Store


@asynccontextmanager
async def serve() -> AsyncIterator[FastAPI]:
    """Answer what is asked."""
    profile = Profile.read(SearchSettings)
    async with (
        profile.database(SERVICE) as database,
        profile.search_index() as index,
        serving(settings=profile.settings(SearchSettings), database=database, index=index) as app,
    ):
        yield app


@asynccontextmanager
async def consume() -> AsyncIterator[FastAPI]:
    """Follow the facts, and index."""
    profile = Profile.read(SearchSettings)
    async with (
        profile.database(SERVICE) as database,
        profile.bus(SERVICE) as bus,
        profile.search_index() as index,
        profile.neighbour(Service.METADATA) as metadata,
        profile.neighbour(Service.ML_WORKER) as ml_worker,
        consuming(
            settings=profile.settings(SearchSettings),
            database=database,
            bus=bus,
            index=index,
            metadata=metadata,
            ml_worker=ml_worker,
        ),
    ):
        yield create_app(title="Smart Gallery search, consuming", routers=[], ready=database.ready)


async def migrate() -> None:
    """Bring the schema up to date."""
    await Profile.read(SearchSettings).migrate(SERVICE)


async def remake() -> None:
    """Have the index made anew while it answers: after a release whose mapping is another, or a restored database."""
    profile = Profile.read(SearchSettings)
    async with profile.database(SERVICE) as database, profile.search_index_anew():
        await rebuild_everything(Store(database))


def main() -> int:
    """Run what the command line names."""
    return process.main(
        "gallery-search", roles={"serve": serve, "consume": consume}, jobs={"migrate": migrate, "remake": remake}
    )
