"""The description of the public API: ``python -m gallery.gateway.openapi [--check] FILE``."""

import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from gallery.gateway.domain import Owner
from gallery.gateway.main import build
from gallery.gateway.settings import GatewaySettings

NOBODY = Owner(UUID(int=0), UUID(int=0), bytes(32))


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, the same for every installation."""
    services = dict.fromkeys(("upload", "metadata", "ml_worker", "search"), httpx.AsyncClient())
    app = build(settings=GatewaySettings(), owner=NOBODY, services=services, effective_settings=(), ready=None)
    return app.openapi()


def main(arguments: list[str]) -> int:
    """Write the description to a file, or check that the file has it."""
    checking = "--check" in arguments
    file = Path(next(argument for argument in arguments if argument != "--check"))
    text = json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if not checking:
        file.write_text(text, encoding="utf-8")
        return 0
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{file} is not what the gateway says: run make openapi\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
