"""A PostgreSQL in a process of its own, so that it can be killed and started again under those who use it."""

import asyncio
import signal
import sys
from pathlib import Path

from support.engines.process import EngineProcess

from gallery.adapters.embedded_postgres import EmbeddedPostgres

STARTS_WITHIN_SECONDS = 60
TESTS = Path(__file__).resolve().parents[2]


class Postgres:
    """One server with its folder, whose socket keeps its place over restarts.

    Attributes:
        url: Known once it was started.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.url = ""
        self._told = folder / "url"
        command = [sys.executable, "-m", "support.engines.postgres", str(folder)]
        self._process = EngineProcess(command, log=folder / "log", environment={"PYTHONPATH": str(TESTS)})
        self.stop = self._process.stop
        self.kill = self._process.kill

    def start(self) -> None:
        """Start, or start again after a stop or kill; it serves when this returns (0.2 to 2 s)."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start without waiting. It dies with the thread that did this."""
        self._told.unlink(missing_ok=True)
        self._process.start()

    def wait(self) -> None:
        """Wait until it serves."""
        self._process.wait_until(self._told.exists, within_seconds=STARTS_WITHIN_SECONDS)
        self.url = self._told.read_text()


async def _serve(folder: Path) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with EmbeddedPostgres.running(folder / "data") as server:
        unfinished = folder / "url.unfinished"
        unfinished.write_text(server.url)
        unfinished.rename(folder / "url")
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
