"""Figures are for whoever runs the gallery: this machine, and those who have the token."""

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from gallery.gateway.domain import Owner
from gallery.gateway.main import build
from gallery.gateway.settings import GatewaySettings
from gallery.runtime.ids import uuid7

TOKEN = "only figures"  # noqa: S105 - opens nothing


def gateway(token: str | None) -> FastAPI:
    settings = GatewaySettings(metrics_token=SecretStr(token) if token else None)
    owner = Owner(uuid7(), uuid7(), b"")
    services = {name: httpx.AsyncClient() for name in ("upload", "metadata", "ml_worker", "search")}
    return build(settings=settings, owner=owner, services=services, effective_settings=(), ready=None)


async def status(app: FastAPI, path: str = "/metrics", *, peer: str, **said: str) -> int:
    transport = httpx.ASGITransport(app, client=(peer, 4000))
    headers = {name.replace("_", "-"): text for name, text in said.items()}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return (await client.get(path, headers=headers)).status_code


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_may_read_them(peer: str) -> None:
    assert await status(gateway(None), peer=peer) == 200
    assert await status(gateway(TOKEN), peer=peer) == 200


@pytest.mark.parametrize("peer", ["10.0.0.7", "192.0.2.1", "::ffff:10.0.0.7", "2001:db8::1", "", "nobody"])
async def test_other_machines_need_the_token(peer: str) -> None:
    app = gateway(TOKEN)
    assert await status(app, peer=peer) == 401
    assert await status(app, peer=peer, authorization=f"Bearer {TOKEN} ") == 401
    assert await status(app, peer=peer, authorization="Bearer ") == 401
    assert await status(app, peer=peer, authorization=f"Bearer {TOKEN}") == 200
    assert await status(app, "/health/live", peer=peer) == 200
    assert await status(app, "/api/v1/status", peer=peer, authorization=f"Bearer {TOKEN}") == 401, "opens nothing else"


async def test_without_a_token_nobody_else_reads_them() -> None:
    assert await status(gateway(None), peer="10.0.0.7", authorization="Bearer ") == 401
    assert await status(gateway(None), peer="10.0.0.7", authorization="Bearer None") == 401


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip", "via"])
async def test_what_a_proxy_of_this_machine_hands_on_is_of_somebody_else(header: str) -> None:
    assert await status(gateway(None), peer="127.0.0.1", **{header: "127.0.0.1"}) == 401


async def test_a_scraper_may_address_the_gateway_as_it_likes_and_a_page_in_a_browser_may_not() -> None:
    app = gateway(TOKEN)
    assert await status(app, peer="10.0.0.7", host="10.0.0.9:8000", authorization=f"Bearer {TOKEN}") == 200
    assert await status(app, peer="127.0.0.1", host="evil.example") == 421
    assert await status(app, "/api/v1/status", peer="10.0.0.7", host="evil.example", authorization="Bearer x") == 421
