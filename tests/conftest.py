"""Fixtures that every kind of test shares; more of them live in ``support``."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = [
    "support.next_release",
    "support.postgres",
    "support.engines.elasticsearch",
    "support.engines.kafka",
    "support.engines.versitygw",
]

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test photos and models beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs the test photos and models in ../shared")
    return SHARED
