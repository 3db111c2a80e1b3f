"""The processes of this service in the distributed profile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gallery.adapters.profile import Profile
from gallery.runtime import process
from gallery.upload.main import SERVICE, serving
from gallery.upload.settings import UploadSettings


@asynccontextmanager
async def serve() -> AsyncIterator[FastAPI]:
    """Take originals in."""
    profile = Profile.read(UploadSettings)
    async with (
        profile.database(SERVICE) as database,
        profile.blobs(tried=True) as blobs,
        profile.direct_uploads() as store,
        serving(
            settings=profile.settings(UploadSettings), database=database, blobs=blobs, store=store, elsewhere=blobs
        ) as app,
    ):
        yield app


async def migrate() -> None:
    """Bring the schema up to date."""
    await Profile.read(UploadSettings).migrate(SERVICE)


def main() -> int:
    """Run what the command line names."""
    return process.main("gallery-upload", roles={"serve": serve}, jobs={"migrate": migrate})
