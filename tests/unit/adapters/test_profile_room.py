"""A profile on a disk without room."""

from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from gallery.adapters import profile
from gallery.adapters.profile import Profile, ProfileSettings
from gallery.runtime.errors import DatabaseNoSpaceError


async def test_a_schema_that_finds_no_room_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise psycopg.errors.DiskFull("could not extend file")

    monkeypatch.setattr(profile, "migrate", full)
    choices = ProfileSettings(database_url=SecretStr("postgresql://nowhere"))
    with pytest.raises(DatabaseNoSpaceError, match="make room"):
        await Profile(choices, kinds=profile.KINDS).migrate("upload")
