"""The owner's token, and the description of the API that is checked in."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gallery.gateway import openapi
from gallery.gateway.domain import digest
from gallery.gateway.errors import TokenFileError
from gallery.gateway.owners import TOKEN_FILE, establish
from gallery.gateway.store import PostgresOwners
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate

SET = "a token that is set"
ROOT = Path(__file__).parents[3]


@pytest_asyncio.fixture
async def owners(database_url: str) -> AsyncIterator[PostgresOwners]:
    await migrate(database_url, schema="gateway", packages=["gallery.gateway"])
    async with Database.open(database_url, schema="gateway") as database:
        yield PostgresOwners(database)


def token_in(data: Path) -> str:
    return (data / TOKEN_FILE).read_text().strip()


async def test_the_owner_is_made_once(owners: PostgresOwners, tmp_path: Path) -> None:
    first = await establish(owners, tmp_path)
    token = token_in(tmp_path)
    assert await establish(owners, tmp_path) == first
    assert token_in(tmp_path) == token
    assert first.holds(token)
    assert not first.holds(token + "x")
    assert len(token) >= 43


async def test_gateways_that_start_together_share_the_owner_and_the_token_that_is_set(
    owners: PostgresOwners, tmp_path: Path
) -> None:
    one, other = await asyncio.gather(*(establish(owners, tmp_path, token=SET) for _ in range(2)))
    assert one == other
    assert one.holds(SET)
    assert not (tmp_path / TOKEN_FILE).exists()
    changed = await establish(owners, tmp_path, token="another one")  # noqa: S106  # opens nothing
    assert (changed.library_id, changed.holds("another one")) == (one.library_id, True)


async def test_only_its_owner_may_read_the_token(owners: PostgresOwners, tmp_path: Path) -> None:
    await establish(owners, tmp_path)
    assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600
    (tmp_path / TOKEN_FILE).chmod(0o644)
    await establish(owners, tmp_path)
    assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [None, "", "another token", "t\u00f6ken"])
async def test_a_lost_or_foreign_token_is_replaced_and_the_library_stays(
    owners: PostgresOwners, tmp_path: Path, content: str | None
) -> None:
    first = await establish(owners, tmp_path)
    old = token_in(tmp_path)
    (tmp_path / TOKEN_FILE).unlink()
    if content is not None:
        (tmp_path / TOKEN_FILE).write_text(content, encoding="utf-8")
    second = await establish(owners, tmp_path)
    assert second.library_id == first.library_id
    assert second.holds(token_in(tmp_path))
    assert not second.holds(old)
    assert await owners.find() == second


async def test_a_folder_that_cannot_be_written_is_named(owners: PostgresOwners, tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match="token cannot be written"):
        await establish(owners, tmp_path / "nowhere")


def test_the_database_has_no_token() -> None:
    assert digest("token") != b"token"
    assert len(digest("token")) == 32


def test_the_description_is_what_the_gateway_says() -> None:
    assert openapi.main(["--check", str(ROOT / "docs" / "openapi.json")]) == 0


def test_drift_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "openapi.json").write_text("{}")
    assert openapi.main(["--check", str(tmp_path / "openapi.json")]) == 1
    assert "make openapi" in capsys.readouterr().err
    assert openapi.main([str(tmp_path / "openapi.json")]) == 0
    assert openapi.main(["--check", str(tmp_path / "openapi.json")]) == 0


def test_the_description_is_openapi_3_1() -> None:
    assert openapi.document()["openapi"].startswith("3.1")
