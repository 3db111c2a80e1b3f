"""The gateway, put together."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from gallery.gateway.domain import Owner
from gallery.gateway.gate import Gate, readers
from gallery.gateway.http import create_routers
from gallery.gateway.neighbours import Neighbours
from gallery.gateway.owners import establish
from gallery.gateway.settings import GatewaySettings
from gallery.gateway.store import PostgresOwners
from gallery.runtime.database import Database
from gallery.runtime.health import Ready
from gallery.runtime.http import create_app
from gallery.runtime.settings import Setting, describe

SERVICE = "gateway"
TITLE = "Smart Gallery"
API_VERSION = "1.0.0"


@asynccontextmanager
async def serving(
    *,
    settings: GatewaySettings,
    database: Database,
    services: Mapping[str, httpx.AsyncClient],
    data: Path,
    effective_settings: Sequence[Setting] | None = None,
) -> AsyncIterator[FastAPI]:
    """Serve the public API while the block is open.

    Args:
        settings: The gateway's own.
        database: Its schema.
        services: Clients of ``upload``, ``metadata``, ``ml_worker`` and ``search``.
        data: Folder for the owner's token.
        effective_settings: What ``/settings`` shows; by default the gateway's own.
    """
    token = settings.owner_token.get_secret_value() if settings.owner_token else None
    owner = await establish(PostgresOwners(database), data, token=token)

    shown = describe(settings) if effective_settings is None else effective_settings
    yield build(settings=settings, owner=owner, services=services, effective_settings=shown, ready=database.ready)


def build(
    *,
    settings: GatewaySettings,
    owner: Owner,
    services: Mapping[str, httpx.AsyncClient],
    effective_settings: Sequence[Setting],
    ready: Ready | None,
) -> FastAPI:
    """Build the app over its parts."""
    routers = create_routers(neighbours=Neighbours(services), owner=owner, effective_settings=effective_settings)
    app = create_app(title=TITLE, routers=routers, ready=ready, may_read_metrics=readers(settings.metrics_token))
    app.version = API_VERSION
    app.add_middleware(
        Gate, hosts=settings.hosts, largest_question=settings.largest_question, metrics_token=settings.metrics_token
    )
    return app
