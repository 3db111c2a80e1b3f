"""Structured logs: a constant English message and fields, ids bound once per request or message.

Nothing about a person goes into a log: no names, no paths of users, no coordinates, no search words. Ids are fine.
"""

import logging
import sys
from datetime import timedelta
from typing import Any

import structlog
from structlog.stdlib import BoundLogger
from structlog.typing import EventDict, Processor

from gallery.runtime import tracing


def _traced(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event.update(tracing.ids())
    return event


SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    _traced,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


OURS = "gallery"
SAY_AGAIN_AFTER = timedelta(minutes=1)
COMPLAINTS = 1000
"""More different ones come from a library that puts numbers into its texts; then it is begun anew."""


class OnceAMinute(logging.Filter):
    """Passes each complaint of a library once a minute: of a server that is away, clients speak many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See ``logging.Filter``."""
        if record.name.partition(".")[0] == OURS or record.exc_info:
            return True
        complaint = (record.name, str(record.msg))  # with placeholders: the numbers in it differ
        if record.created - self._passed.get(complaint, 0) < SAY_AGAIN_AFTER.total_seconds():
            return False
        if len(self._passed) >= COMPLAINTS:
            self._passed.clear()
        self._passed[complaint] = record.created
        return True


def get_logger(name: str) -> BoundLogger:
    """Return the logger of a module; pass ``__name__``."""
    logger: BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def configure(*, json: bool | None = None, level: str = "INFO") -> None:
    """Send our logs and those of libraries to standard error.

    Args:
        json: One JSON object a line; by default when standard error is no terminal.
        level: The least level that is shown, such as ``INFO``.
    """
    if json is None:
        json = not sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(json=json)],
        )
    )
    handler.addFilter(OnceAMinute())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    # Their lines show whole addresses, search words included; or each step of every rebalance.
    for chatty in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _rendering(*, json: bool) -> list[Processor]:
    """The last steps: exceptions as one field of the JSON object, or readable below the line."""
    if json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    # Not the default, which prints local variables where `rich` is installed: they hold what people gave us.
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
