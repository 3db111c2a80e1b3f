"""How every HTTP app of ours behaves: problem documents, request ids, health, and a server that stops when told."""

import asyncio
import errno
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import structlog
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg.errors import DiskFull
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery.ports.blobs import BlobError, BlobNotFoundError, BlobStoreFullError
from gallery.runtime import metrics, tracing
from gallery.runtime.health import Ready, health_router
from gallery.runtime.ids import uuid7
from gallery.runtime.logs import get_logger
from gallery.runtime.metrics_http import metrics_router

log = get_logger(__name__)

REQUEST_ID = "x-request-id"
# What we take over from a caller must not be able to forge log lines.
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class ProblemError(Exception):
    """An answer that is an error, as RFC 9457 has it.

    Attributes:
        status: HTTP status, 400 to 599.
        code: Stable name in snake case; the interface on which clients decide.
        detail: One sentence for people; says what to do where something can be done.
        extra: Further members of the document, such as ``position``.
    """

    def __init__(self, status: int, code: str, detail: str, **extra: Any) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.extra = extra


def problem(error: ProblemError) -> JSONResponse:
    """Render the problem document (RFC 9457, section 3)."""
    document = {
        **error.extra,
        "type": f"urn:gallery:problem:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
    }
    return JSONResponse(document, status_code=error.status, media_type="application/problem+json")


def create_app(
    *,
    title: str,
    routers: Sequence[APIRouter],
    ready: Ready | None = None,
    may_read_metrics: Callable[[Request], None] | None = None,
) -> FastAPI:
    """Build an app whose every error is a problem document, with health and metrics, its logs bound to the request.

    Args:
        title: For the API description.
        routers: What the service offers.
        ready: Asked by ``/health/ready``.
        may_read_metrics: Raises when ``/metrics`` is not for whoever asks; without it everybody may read it.
    """
    # FastAPI's own spans would carry the query, and with it search words.
    app = FastAPI(title=title, telemetry={"tracing": False, "metrics": False, "logs": False})
    app.include_router(health_router(ready))
    app.include_router(metrics_router(may_read_metrics))
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(DiskFull, _on_full)
    app.add_exception_handler(BlobStoreFullError, _on_full)
    app.add_exception_handler(BlobNotFoundError, _on_missing)
    app.add_exception_handler(BlobError, _on_no_store)
    app.add_middleware(_RequestScope)
    return app


async def _on_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for this class alone
    return problem(error)


async def _on_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    # Where and why, but not the value: it may be personal, and the client has it.
    errors = [{"where": [str(part) for part in each["loc"]], "message": each["msg"]} for each in error.errors()]
    first = f"{'.'.join(errors[0]['where'])}: {errors[0]['message']}" if errors else "the request is not as described"
    return problem(ProblemError(422, "invalid_request", first, errors=errors))


async def _on_full(_request: Request, _error: Exception) -> JSONResponse:
    return problem(_FULL)


async def _on_missing(_request: Request, error: Exception) -> JSONResponse:
    log.error("an object is missing in the blob store", key=str(error))
    return problem(ProblemError(500, "object_missing", "The store has lost these bytes; gallery verify says more."))


async def _on_no_store(_request: Request, error: Exception) -> JSONResponse:
    log.warning("the blob store could not serve a request", error=repr(error))
    return problem(_STORE_AWAY)


async def _on_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    code = HTTPStatus(error.status_code).name.lower()
    answer = problem(ProblemError(error.status_code, code, str(error.detail)))
    answer.headers.update(error.headers or {})
    return answer


class _RequestScope:
    """Binds the request id to the logs, returns it, measures, and turns an unexpected error into a problem document."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get(REQUEST_ID, "")
        if not _SANE_REQUEST_ID.fullmatch(request_id):
            request_id = uuid7().hex
        answer = _Answer()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        parent = headers.get(tracing.HEADER, "")
        with structlog.contextvars.bound_contextvars(request_id=request_id), _observed(scope, answer, parent=parent):
            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                log.exception("request failed", method=scope["method"])
                if answer.status is not None:
                    raise  # the server then breaks the connection, so that half an answer is not taken for a whole one
                await problem(_INTERNAL)(scope, receive, send_with_id)


@dataclass(slots=True)
class _Answer:
    status: int | None = None


@contextmanager
def _observed(scope: Scope, answer: _Answer, *, parent: str) -> Iterator[None]:
    """Trace and measure a request, under its route: paths hold ids, and there is no end of them."""
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    began = time.perf_counter()
    with tracing.span(method, parent=parent, kind=tracing.SpanKind.SERVER) as span:
        try:
            yield
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            status = "aborted" if answer.status is None else str(answer.status)
            metrics.HTTP_REQUESTS.labels(route, method, status).inc()
            metrics.HTTP_REQUEST_TIME.labels(route, method).observe(time.perf_counter() - began)
            span.name = f"{method} {route}"
            span.attributes |= {"http.request.method": method, "http.route": route}
            if answer.status is not None:
                span.attributes["http.response.status_code"] = answer.status


_FULL = ProblemError(503, "storage_full", "There is no room left: free some space, then send it again.")
_STORE_AWAY = ProblemError(
    503, "storage_away", "The store of photos cannot be used now; the log says why. What was acknowledged is safe."
)
_INTERNAL = ProblemError(
    500, "internal_error", "Something went wrong on our side; the log has it under the request id."
)


async def forward_context(request: httpx.Request) -> None:
    """Event hook for internal httpx clients: the answerer works and logs under the asker's trace and request id."""
    if parent := tracing.traceparent():
        request.headers.setdefault(tracing.HEADER, parent)
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id and REQUEST_ID not in request.headers:
        request.headers[REQUEST_ID] = str(request_id)


def listen(*, host: str = "127.0.0.1", port: int = 0, uds: Path | None = None) -> socket.socket:
    """Open the socket to serve on, so that a port in use is known before anything else starts.

    Args:
        host: Address to bind; loopback by default.
        port: 0 picks a free one.
        uds: Path of a Unix socket instead, for this user only; one that a dead process left there is replaced.

    Raises:
        OSError: In use, or not ours to bind.
    """
    if uds is None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    _clear(uds)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(uds))
    uds.chmod(0o600)
    listener.listen(2048)
    return listener


def _clear(uds: Path) -> None:
    """Remove a socket that nobody listens on any more; a process that was killed leaves one."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(uds))
        except (FileNotFoundError, ConnectionRefusedError):
            uds.unlink(missing_ok=True)
        else:
            raise OSError(errno.EADDRINUSE, "another process serves on this socket", str(uds))


async def serve(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    uds: Path | None = None,
    listener: socket.socket | None = None,
) -> None:
    """Serve until cancelled; then answer what is in flight, at most five seconds, and stop.

    Signals are left to the composition root: uvicorn's own handling raises the signal again after its shutdown, and
    exit hooks would not run.

    Args:
        app: What answers.
        host: As for `listen`.
        port: As for `listen`.
        uds: As for `listen`.
        listener: What `listen` returned, instead of the three.

    Raises:
        OSError: The address is in use.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    running = asyncio.ensure_future(server.serve(sockets=[listener or listen(host=host, port=port, uds=uds)]))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.should_exit = True
        await running
        raise


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
