"""Programs of the distributed profile, run to their end with few settings."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

BIN = Path(sys.executable).parent
ENDS_WITHIN_SECONDS = 120


def refused(*command: str, settings: Mapping[str, str]) -> str:
    """Run what has to refuse to run; returns the one sentence that it ends with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GALLERY_")}
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        env={**kept, "GALLERY_PORT": "0", **settings},
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_SECONDS,
        check=False,
    )
    assert done.returncode == 1, f"exit {done.returncode}\n{done.stderr}"
    assert not any(line.startswith("Traceback") for line in done.stderr.splitlines()), done.stderr
    return done.stderr.splitlines()[-1]
