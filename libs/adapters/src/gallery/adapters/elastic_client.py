"""A connection to Elasticsearch: its settings, and what its errors ask of us."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr

from gallery.runtime.errors import PermanentError, TransientError
from gallery.runtime.settings import Settings

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Answers of an engine whose queue is full, whose memory is short, or whose shard is on its way."""


class ElasticSettings(Settings):
    """Where Elasticsearch is and how the index is laid out there."""

    elasticsearch_url: str = Field(
        default="http://127.0.0.1:9200",
        title="Elasticsearch",
        description="Address of Elasticsearch 9, such as https://search.example:9200.",
    )
    elasticsearch_api_key: SecretStr = Field(
        default=SecretStr(""),
        title="API key of Elasticsearch",
        description="Encoded; it needs the privilege `all` on the indices named below and nothing else. Empty where "
        "Elasticsearch asks for none.",
    )
    elasticsearch_index: str = Field(
        default="photos",
        pattern="^[a-z][a-z0-9_]{0,99}$",
        title="Name of the index",
        description="Versions of the index are called by this name and a number, such as photos-v1.",
    )
    elasticsearch_shards: int = Field(
        default=1,
        ge=1,
        le=1024,
        title="Shards",
        description="Parts of an index that is made from now on; a library lies whole in one of them.",
    )
    elasticsearch_replicas: int = Field(
        default=1,
        ge=0,
        le=10,
        title="Replicas",
        description="Copies of each shard on other nodes, of an index that is made from now on.",
    )
    elasticsearch_timeout: timedelta = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        title="Patience with Elasticsearch",
        description="How long one request may take.",
    )


class ElasticUnavailableError(TransientError):
    """Elasticsearch cannot be reached, took too long, or has the index on its way."""


class ElasticBusyError(ElasticUnavailableError):
    """It is there and takes no more for the moment."""


class ElasticMovedError(ElasticUnavailableError):
    """The index is not there: it was dropped, or has made room for its next version at this moment."""


class ElasticRefusedError(PermanentError):
    """It will not do this however often it is asked. Says the kind of error only: reasons quote what was sent."""


@asynccontextmanager
async def connected(settings: ElasticSettings) -> AsyncIterator["AsyncElasticsearch"]:
    """Keep a client; nothing is asked yet."""
    from elastic_transport import HttpxAsyncHttpNode
    from elasticsearch import AsyncElasticsearch

    async with AsyncElasticsearch(
        settings.elasticsearch_url,
        api_key=settings.elasticsearch_api_key.get_secret_value() or None,
        node_class=HttpxAsyncHttpNode,
        request_timeout=settings.elasticsearch_timeout.total_seconds(),
        # A connection that was closed meanwhile is tried once more; what else to repeat is decided here, not there.
        max_retries=1,
        retry_on_status=(),
    ) as client:
        yield client


@contextmanager
def translated() -> Iterator[None]:
    """Raise the client's errors as ours.

    Raises:
        ElasticUnavailableError: Later it may work.
        ElasticBusyError: Soon it may work.
        ElasticMovedError: With what stands in its place it may work.
        ElasticRefusedError: It will never work.
    """
    from elastic_transport import TransportError
    from elasticsearch import ApiError

    try:
        yield
    except TransportError as error:
        raise ElasticUnavailableError(f"Elasticsearch cannot be reached: {type(error).__name__}") from error
    except ApiError as error:
        raise refusal(error.status_code, error.error) from None


def refusal(status: int, kind: str) -> TransientError | PermanentError:
    """Name the error that an answer means."""
    told = f"Elasticsearch answered {status}: {kind}"
    if status in BUSY:
        return ElasticBusyError(told)
    if status == HTTPStatus.NOT_FOUND:
        return ElasticMovedError(told)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ElasticUnavailableError(told)
    return ElasticRefusedError(told)
