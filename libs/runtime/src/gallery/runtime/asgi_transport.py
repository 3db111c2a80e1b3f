"""Calls between services of one process: HTTP without a network, streaming both ways."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.types import ASGIApp, Message

from gallery.runtime.logs import get_logger

log = get_logger(__name__)

# Response parts the app may be ahead of its reader. More only holds more memory: both run on one loop.
_AHEAD = 2


class AsgiTransport(httpx.AsyncBaseTransport):
    """Sends requests to an ASGI app in this process.

    Bodies pass part by part and each side waits for the other, so an upload of any size needs the memory of a few
    parts. When the caller stops reading, or is cancelled, the app's task is cancelled and awaited. An app that fails,
    or ends without a whole answer, looks like a server that broke the connection (`httpx.RemoteProtocolError`). There
    are no timeouts: cancel instead.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._calls: set[_Call] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Start the app on this request and return once it has sent its headers."""
        call = _Call(request)
        self._calls.add(call)
        call.start(self._app).add_done_callback(lambda _: self._calls.discard(call))
        try:
            status, headers = await call.begun()
        except BaseException:
            await call.stop()
            raise
        return httpx.Response(status, headers=headers, stream=_Body(call))

    async def aclose(self) -> None:
        """Cancel what still runs."""
        for call in tuple(self._calls):
            await call.stop()


class _Body(httpx.AsyncByteStream):
    def __init__(self, call: "_Call") -> None:
        self._call = call

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._call.parts()

    async def aclose(self) -> None:
        """Stop the app, unless it has said all."""
        if not self._call.answered:
            await self._call.stop()


class _Call:
    """One request under way: the app's side (`_receive`, `_send`) and the caller's (`begun`, `parts`, `stop`)."""

    def __init__(self, request: httpx.Request) -> None:
        self.answered = False
        """The answer is whole; what the app does now, it does after answering."""
        self._request = request
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's async client sends no other
        self._upload: AsyncIterator[bytes] | None = aiter(request.stream)
        self._upload_error: Exception | None = None
        self._sent: asyncio.Queue[Message | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_AHEAD)
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, app: ASGIApp) -> asyncio.Task[None]:
        """Let the app begin."""
        self._task = asyncio.create_task(self._run(app))
        return self._task

    async def begun(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Wait for status and headers."""
        message = await self._next()
        return message["status"], list(message["headers"])

    async def parts(self) -> AsyncIterator[bytes]:
        """Hand on the body as it comes."""
        more = True
        while more:
            message = await self._next()
            more = message.get("more_body", False)
            if body := message.get("body", b""):
                yield body

    async def stop(self) -> None:
        """Cancel the app and wait for its end."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _next(self) -> Message:
        message = await self._sent.get()
        self._room.release()
        if self._upload_error is not None:
            raise self._upload_error  # whatever the app makes of half a request is no answer to it
        if message is not None:
            return message
        raise httpx.RemoteProtocolError("the service ended without a whole answer", request=self._request)

    async def _run(self, app: ASGIApp) -> None:
        try:
            await app(_scope(self._request), self._receive, self._send)
        except asyncio.CancelledError:
            return  # by `stop`; kept in the task, it would keep the app's frames and open generators
        except Exception as error:  # noqa: BLE001 - to the caller this is a broken connection
            log.warning("an app failed while answering", error=type(error).__name__)
        finally:
            self._over.set()
            self._sent.put_nowait(None)

    async def _receive(self) -> Message:
        if self._upload is None:
            await self._over.wait()
            return {"type": "http.disconnect"}
        try:
            return {"type": "http.request", "body": await anext(self._upload), "more_body": True}
        except StopAsyncIteration:
            self._upload = None
            return {"type": "http.request", "body": b"", "more_body": False}
        except Exception as error:  # noqa: BLE001 - the caller's own stream failed: the caller gets it back
            self._upload, self._upload_error = None, error
            self._over.set()
            return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self._room.acquire()
        self._sent.put_nowait(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.answered = True
            self._over.set()


def _scope(request: httpx.Request) -> dict[str, Any]:
    """The request as ASGI 3.0 describes it (asgi.readthedocs.io, HTTP connection scope)."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 0),
        "state": {},
    }
