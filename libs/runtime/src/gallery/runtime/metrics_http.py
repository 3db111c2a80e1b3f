"""The page of metrics over HTTP."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from gallery.runtime import metrics

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def metrics_router(may_read: Callable[[Request], None] | None) -> APIRouter:
    """Route ``/metrics``, in Prometheus' text format.

    Args:
        may_read: Raises when the page is not for whoever asks.
    """
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def show(request: Request) -> Response:
        if may_read is not None:
            may_read(request)
        return Response(await metrics.page(), media_type=TEXT)

    return router
