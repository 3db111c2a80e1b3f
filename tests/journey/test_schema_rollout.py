"""Programs of one release and schemas of another, as they meet while a release is rolled out."""

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from PIL import Image
from psycopg.sql import SQL, Identifier
from support.command import Gallery

from gallery.adapters.profile import Profile
from gallery.runtime.migrations import StaleSchemaError

SCHEMAS = ("upload", "metadata", "ml_worker", "search", "gateway")
OFTEN = 6
"""After five times the client has a statement prepared, with the columns that it gives."""

each = pytest.mark.parametrize("service", SCHEMAS)


def pictures(folder: Path, shades: range) -> Path:
    folder.mkdir(exist_ok=True)
    for shade in shades:
        out = io.BytesIO()
        Image.new("RGB", (64, 48), (shade * 20, 90, 120)).save(out, "JPEG")
        (folder / f"IMG_{shade}.jpg").write_bytes(out.getvalue())
    return folder


def widen(url: str, schema: str) -> int:
    """Migrate a schema as the next release would: every table gets a column. Returns how many tables there are."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition",
            [schema],
        ).fetchall()
        for (table,) in found:
            wider = SQL("ALTER TABLE {}.{} ADD COLUMN a_first text NOT NULL DEFAULT 'next'")
            connection.execute(wider.format(Identifier(schema), Identifier(table)))
        noted = SQL("INSERT INTO {}.migrations (name) VALUES ('gallery.next/0001_more.sql')")
        connection.execute(noted.format(Identifier(schema)))
    return len(found)


def look_at_everything(public: httpx.Client) -> int:
    """Ask every kind of question about what is stored; returns how many photos there are."""
    photos = public.get("/photos").raise_for_status().json()["photos"]
    one = f"/photos/{photos[0]['id']}"
    for path in (
        "/people",
        "/faces",
        "/packs",
        "/backfill",
        "/dead-letters",
        one,
        f"{one}/original",
        f"{one}/thumbnail",
    ):
        public.get(path).raise_for_status()
    for path in ("/verify", "/events/resync"):
        public.post(path).raise_for_status()
    assert public.get("/search", params={"q": "type:photo camera:x"}).raise_for_status().json()["total"] == 0
    status = public.get("/status").raise_for_status().json()
    assert status["consistent"], status
    return int(status["photos"])


@contextmanager
def asking(gallery: Gallery) -> Iterator[httpx.Client]:
    """Talk to it without starting a command each time."""
    address = json.loads((gallery.data / "gallery.json").read_text())["url"]
    token = (gallery.data / "owner.token").read_text().strip()
    with httpx.Client(base_url=f"{address}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=30) as opened:
        yield opened


def test_a_running_program_does_not_mind_a_wider_schema(database_url: str, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "data", settings={"GALLERY_DATABASE_URL": database_url})
    with gallery.up(), asking(gallery) as public:
        assert gallery.json("import", pictures(tmp_path / "photos", range(OFTEN)))["done"] == OFTEN
        for _ in range(OFTEN):
            look_at_everything(public)
        assert all(widen(database_url, schema) > 5 for schema in SCHEMAS)
        assert gallery.json("import", pictures(tmp_path / "photos", range(2 * OFTEN)))["done"] == OFTEN
        assert look_at_everything(public) == 2 * OFTEN
        assert gallery.json("dead-letters", "list") == {"dead_letters": []}
    assert "cached plan" not in (tmp_path / "data.log").read_text()
    assert gallery.call("up", "--port", "0").returncode == 1, "one process tree has no old ones to wait for"


@each
async def test_an_old_process_starts_on_a_newer_schema(
    database_url: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALLERY_DATABASE_URL", database_url)
    profile = Profile.read()
    await profile.migrate(service)
    widen(database_url, service)
    async with profile.database(service) as database:
        assert await database.ready() == {"database": True}
    with pytest.raises(StaleSchemaError, match=r"newer than this program: gallery\.next/0001_more"):
        await profile.migrate(service)


@each
def test_a_new_process_refuses_an_older_schema(
    database_url: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALLERY_DATABASE_URL", database_url)
    asyncio.run(Profile.read().migrate(service))
    with psycopg.connect(database_url, autocommit=True) as connection:
        last = SQL("SELECT max(name) FROM {}.migrations").format(Identifier(service))
        ((newest,),) = connection.execute(last).fetchall()
        connection.execute(SQL("DELETE FROM {}.migrations WHERE name = %s").format(Identifier(service)), [newest])
    program = Path(sys.executable).parent / f"gallery-{service.replace('_', '-')}"
    ended = subprocess.run([program, "serve"], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert f"schema {service} lacks {newest}: migrate it first" in ended.stderr
