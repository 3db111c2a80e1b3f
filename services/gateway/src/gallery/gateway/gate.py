"""What is refused before anything reads it: foreign host names, and bodies that no question needs."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery.runtime.http import ProblemError, problem

UPLOADS = "/api/v1/uploads"
"""Its body is streamed and may have any length."""


class Gate:
    """ASGI middleware.

    Args:
        hosts: Names that the Host header may have, without port; ``*`` allows all.
        largest_question: Bytes of a body.
    """

    def __init__(self, app: ASGIApp, *, hosts: str, largest_question: int) -> None:
        self._app = app
        self._hosts = {host.strip().lower() for host in hosts.split(",")}
        self._largest = largest_question

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on with a body that is cut off at the limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._expected(headers.get("host", "")):
            refusal = ProblemError(
                421, "unknown_host", "This name is not one of the setting hosts; address it as localhost."
            )
            await problem(refusal)(scope, receive, send)
        elif scope["path"] == UPLOADS:
            await self._app(scope, receive, send)
        elif int(headers.get("content-length", "0")) > self._largest:
            await problem(self._too_large())(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), send)

    def _expected(self, host: str) -> bool:
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        return "*" in self._hosts or name.lower() in self._hosts

    def _counted(self, receive: Receive) -> Receive:
        size = 0

        async def counting() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._largest:
                raise self._too_large()
            return message

        return counting

    def _too_large(self) -> ProblemError:
        return ProblemError(413, "question_too_large", f"A request body has at most {self._largest} bytes here.")
