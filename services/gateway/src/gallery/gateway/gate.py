"""What is refused before anything reads it: foreign host names, bodies that no question needs, strangers' scrapers."""

import hmac
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from fastapi import Request
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery.runtime.http import ProblemError, problem

UPLOADS = "/api/v1/uploads"
"""Its body is streamed and may have any length."""

FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""What a proxy adds: with it a request is that of somebody else, wherever the connection comes from."""


class Gate:
    """ASGI middleware.

    Args:
        hosts: Names that the Host header may have, without port; ``*`` allows all.
        largest_question: Bytes of a body.
        metrics_token: Whoever sends it may call us what they like: scrapers know addresses, not names.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: str, largest_question: int, metrics_token: SecretStr | None = None
    ) -> None:
        self._app = app
        self._metrics_token = metrics_token
        self._hosts = {host.strip().lower() for host in hosts.split(",")}
        self._largest = largest_question

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on with a body that is cut off at the limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._expected(headers.get("host", "")) and not _is_scraper(headers, self._metrics_token):
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


def readers(token: SecretStr | None) -> Callable[[Request], None]:
    """Build the check of who may read ``/metrics``: this machine, and who has the token, if there is one."""

    def check(request: Request) -> None:
        if not _is_scraper(request.headers, token) and not _from_here(request):
            raise ProblemError(401, "unauthorized", "Send the setting metrics_token: Authorization: Bearer TOKEN.")

    return check


def _is_scraper(headers: Headers, token: SecretStr | None) -> bool:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return token is not None and hmac.compare_digest(bearer.encode(), token.get_secret_value().encode())


def _from_here(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
