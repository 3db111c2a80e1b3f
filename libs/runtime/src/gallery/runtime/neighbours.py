"""Clients of the other services."""

from enum import StrEnum

import httpx
from pydantic import Field

from gallery.runtime.http import forward_context
from gallery.runtime.settings import Settings

PATIENCE_SECONDS = 60
"""For one answer of a neighbour; renditions and batches take milliseconds."""


class Service(StrEnum):
    """Who can be asked."""

    UPLOAD = "upload"
    METADATA = "metadata"
    ML_WORKER = "ml_worker"
    SEARCH = "search"


class NeighbourSettings(Settings):
    """Where the services answer each other."""

    upload_url: str = Field(default="http://upload:8000", title="Upload", description="Address of the upload service.")
    metadata_url: str = Field(
        default="http://metadata:8000", title="Metadata", description="Address of the metadata service."
    )
    ml_worker_url: str = Field(
        default="http://ml-worker:8000", title="ML worker", description="Address of the ML worker."
    )
    search_url: str = Field(default="http://search:8000", title="Search", description="Address of the search service.")

    def of(self, service: Service) -> str:
        """The address of one."""
        return str(getattr(self, f"{service}_url"))


def client(url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Make a client of a service; its calls carry the request id of whoever asked us.

    Args:
        url: Of the service.
        transport: Another way there than the network.
    """
    return httpx.AsyncClient(
        transport=transport,
        base_url=url,
        timeout=PATIENCE_SECONDS,
        event_hooks={"request": [forward_context]},
    )
