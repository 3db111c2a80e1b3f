"""Make the secrets of docker-compose.yml that are not there yet; what is there stays.

Usage: python deploy/docker/make_secrets.py [FOLDER]
    One file for each secret, in the folder ``secrets`` beside this script unless another is named.
"""

import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

BYTES = 24


def password() -> str:
    """Make one that needs no quoting in a URL."""
    return secrets.token_urlsafe(BYTES)


def database_url(service: str) -> Callable[[], str]:
    """Make the URL by which a service reaches its own database, with its own role."""
    return lambda: f"postgresql://{service}:{password()}@postgres:5432/{service}"


SECRETS: dict[str, Callable[[], str]] = {
    "postgres_password": password,
    **{
        f"{service}_database_url": database_url(service)
        for service in ("upload", "metadata", "ml_worker", "search", "gateway")
    },
    "s3_secret": password,
    "qdrant_api_key": password,
    "owner_token": password,
}


def main() -> None:
    """Write what is missing."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "secrets"
    # Containers run as other users and must read the files; only this folder keeps everybody else away.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, make in SECRETS.items():
        file = folder / name
        if not file.exists():
            draft = folder / f".{name}"
            draft.write_text(make())
            draft.chmod(0o444)
            os.replace(draft, file)  # noqa: PTH105 - half a secret is never seen


if __name__ == "__main__":
    main()
