"""Is the process alive, and can it serve?"""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from gallery.runtime.liveness import stuck
from gallery.runtime.logs import get_logger

log = get_logger(__name__)

Ready = Callable[[], Awaitable[Mapping[str, bool]]]


def health_router(ready: Ready | None) -> APIRouter:
    """Routes ``/health/live`` (503 when a step is stuck) and ``/health/ready`` (503 until every named part says yes).

    Args:
        ready: Asks the parts this process needs, such as ``{"database": True}``; when it raises, we are not ready.
    """
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live")
    async def live() -> JSONResponse:
        steps = stuck()
        return JSONResponse(
            {"status": "stuck" if steps else "alive", "steps": steps}, status_code=503 if steps else 200
        )

    @router.get("/ready")
    async def is_ready() -> JSONResponse:
        parts = await _ask(ready)
        good = all(parts.values())
        return JSONResponse(
            {"status": "ready" if good else "not_ready", "parts": dict(parts)}, status_code=200 if good else 503
        )

    return router


async def _ask(ready: Ready | None) -> Mapping[str, bool]:
    if ready is None:
        return {}
    try:
        return await ready()
    except Exception:
        log.warning("readiness check failed", exc_info=True)
        return {"check": False}
