"""A connection to Elasticsearch, and what its errors ask of us."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from gallery.adapters.certificates import trusting
from gallery.adapters.elastic_settings import ElasticSettings
from gallery.runtime.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Answers of an engine whose queue is full, whose memory is short, or whose shard is on its way."""


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
        settings.elastic_url,
        api_key=settings.elastic_api_key.get_secret_value() if settings.elastic_api_key else None,
        node_class=HttpxAsyncHttpNode,
        ssl_context=trusting(settings.elastic_ca, name="elastic_ca") if _encrypted(settings) else None,
        request_timeout=settings.elastic_timeout.total_seconds(),
        # A connection that was closed meanwhile is tried once more; what else to repeat is decided here, not there.
        max_retries=1,
        retry_on_status=(),
    ) as client:
        yield client


def _encrypted(settings: ElasticSettings) -> bool:
    return settings.elastic_url.startswith("https:")


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
    from elasticsearch import ApiError, UnsupportedProductError

    try:
        yield
    except UnsupportedProductError as error:
        raise ElasticRefusedError("what answers there is no Elasticsearch") from error
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
