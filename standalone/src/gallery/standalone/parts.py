"""What one process tree stands on: the profile that its settings choose, and the database that it may keep itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from gallery.adapters.embedded_postgres import EmbeddedPostgres
from gallery.adapters.profile import KINDS as PROFILE_KINDS
from gallery.adapters.profile import Profile
from gallery.gateway.settings import GatewaySettings
from gallery.metadata.settings import MetadataSettings
from gallery.ml_worker.settings import MlWorkerSettings
from gallery.runtime.background import background
from gallery.runtime.settings import Settings
from gallery.search.settings import SearchSettings
from gallery.standalone.data_folder import DataFolder
from gallery.standalone.settings import StandaloneSettings
from gallery.upload.settings import UploadSettings

SERVICES: tuple[type[Settings], ...] = (
    UploadSettings,
    MetadataSettings,
    MlWorkerSettings,
    SearchSettings,
    GatewaySettings,
)
"""What can be set for each service."""

KINDS: tuple[type[Settings], ...] = (StandaloneSettings, *SERVICES, *PROFILE_KINDS)
"""Every class that reads the one settings file."""


@asynccontextmanager
async def database_server(settings: StandaloneSettings, folder: DataFolder) -> AsyncIterator[str]:
    """Yield the URL of the database: the one that is set, or one kept in the data folder.

    Raises:
        DatabaseError: The embedded one does not open, or died and cannot be started again.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with EmbeddedPostgres.running(folder.postgres) as server, background(database=server.died()):
        yield server.url


def profile(settings: StandaloneSettings, *, url: str, data: Path) -> Profile:
    """The profile of a tree on this database and this folder."""
    choices = settings.model_copy(update={"database_url": SecretStr(url), "data": data})
    return Profile(choices, kinds=KINDS)
