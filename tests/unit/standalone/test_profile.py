"""The written profile says what happens without one."""

import tomllib
from pathlib import Path

from gallery.standalone.settings import StandaloneSettings

ROOT = Path(__file__).resolve().parents[3]


def test_the_embedded_profile_is_the_default() -> None:
    written = tomllib.loads((ROOT / "config/embedded.toml").read_text())
    assert StandaloneSettings(**written) == StandaloneSettings()
