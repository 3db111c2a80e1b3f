"""The processes of this service in the distributed profile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gallery.adapters.profile import Profile
from gallery.ml_worker import main as worker
from gallery.ml_worker.main import SERVICE
from gallery.ml_worker.settings import MlWorkerSettings
from gallery.runtime import process
from gallery.runtime.background import background
from gallery.runtime.http import create_app


@asynccontextmanager
async def serve() -> AsyncIterator[FastAPI]:
    """Answer about renditions, faces, tags and proposals."""
    profile = Profile.read(MlWorkerSettings)
    async with (
        profile.database(SERVICE) as database,
        profile.blobs() as blobs,
        worker.serving(settings=profile.settings(MlWorkerSettings), database=database, blobs=blobs) as app,
    ):
        yield app


@asynccontextmanager
async def consume() -> AsyncIterator[FastAPI]:
    """Turn facts into work."""
    profile = Profile.read(MlWorkerSettings)
    async with (
        profile.database(SERVICE) as database,
        profile.bus(SERVICE) as bus,
        worker.consuming(database=database, bus=bus),
    ):
        yield create_app(title="Smart Gallery ML worker, consuming", routers=[], ready=database.ready)


@asynccontextmanager
async def analyse() -> AsyncIterator[FastAPI]:
    """Look at photos."""
    profile = Profile.read(MlWorkerSettings)
    async with (
        profile.database(SERVICE) as database,
        profile.blobs() as blobs,
        background(analyse=worker.analyse(settings=profile.settings(MlWorkerSettings), database=database, blobs=blobs)),
    ):
        yield create_app(title="Smart Gallery ML worker, analysing", routers=[], ready=database.ready)


@asynccontextmanager
async def people() -> AsyncIterator[FastAPI]:
    """Group faces into people."""
    profile = Profile.read(MlWorkerSettings)
    async with (
        profile.database(SERVICE) as database,
        profile.vectors() as vectors,
        background(
            people=worker.people(settings=profile.settings(MlWorkerSettings), database=database, vectors=vectors)
        ),
    ):
        yield create_app(title="Smart Gallery ML worker, people", routers=[], ready=database.ready)


async def migrate() -> None:
    """Bring the schema up to date."""
    await Profile.read(MlWorkerSettings).migrate(SERVICE)


def main() -> int:
    """Run what the command line names."""
    roles = {"serve": serve, "consume": consume, "analyse": analyse, "people": people}
    return process.main("gallery-ml-worker", roles=roles, jobs={"migrate": migrate})
