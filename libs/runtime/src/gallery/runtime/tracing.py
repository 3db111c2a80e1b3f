"""One trace through HTTP, facts and work.

The context (W3C Trace Context, https://www.w3.org/TR/trace-context/) is handed on and logged by every process. Spans
are exported where an address for them is set, by OpenTelemetry's SDK, which the extra ``tracing`` brings. They carry
names of routes, types and steps, and ids; nothing of a photo or a person, nor the text of an error, which may quote it.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from threading import Timer
from typing import TYPE_CHECKING

from pydantic import Field

from gallery.runtime.errors import GalleryError
from gallery.runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry import trace

HEADER = "traceparent"

EXPORT_AT_MOST = timedelta(seconds=2)
"""For one batch of spans, and for all that are left at the end."""

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class TracingUnavailableError(GalleryError):
    """Spans are to be exported and cannot: install what is missing, or take the address away."""


class TracingSettings(Settings):
    """Where spans go."""

    traces_url: str = Field(
        default="",
        title="Traces",
        description="Where to send spans, OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; OpenTelemetry's own "
        "OTEL_EXPORTER_OTLP_ENDPOINT does as well. Without either no span is recorded.",
    )


class SpanKind(StrEnum):
    """Which side of a call a span is on."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CONSUMER = "CONSUMER"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something happens: a trace, and a span in it.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        flags: Two; ``01`` when the span is recorded.
    """

    trace_id: str
    span_id: str
    flags: str

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


@dataclass(slots=True)
class Span:
    """Something under way; what is set here until its end is exported with it."""

    name: str
    place: Place
    attributes: dict[str, str | int] = field(default_factory=dict)


_here: ContextVar[Place | None] = ContextVar("gallery_trace", default=None)
_tracer: "trace.Tracer | None" = None


def traceparent() -> str:
    """The context to hand on; empty when nothing is under way."""
    return str(_here.get() or "")


def ids() -> dict[str, str]:
    """The ids to log; none when nothing is under way."""
    here = _here.get()
    return {"trace_id": here.trace_id, "span_id": here.span_id} if here else {}


def parse(text: str) -> Place | None:
    """Read a context, as whoever calls us gives it; None when it is none."""
    found = _PARENT.fullmatch(text)
    return Place(*found.groups()) if found else None


@contextmanager
def span(name: str, *, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """Note that something is under way: a span below ``parent``, by default below what is under way here.

    Args:
        name: Of few; what tells one from another goes into the attributes.
        parent: The context that was handed to us; where it is empty or broken a trace begins.
        kind: Which side of a call this is.
    """
    above = _here.get() if parent is None else parse(parent)
    recorded = _begin(name, above, kind) if _tracer else None
    own = Span(name, _place_of(recorded) if recorded else _below(above))
    token = _here.set(own.place)
    try:
        yield own
    except BaseException as error:
        own.attributes["error.type"] = type(error).__name__
        raise
    finally:
        _here.reset(token)
        if recorded:
            _end(recorded, own)


def _below(above: Place | None) -> Place:
    if above is None:
        return Place(secrets.token_hex(16), secrets.token_hex(8), "00")
    return Place(above.trace_id, secrets.token_hex(8), above.flags)


def _begin(name: str, above: Place | None, kind: SpanKind) -> "trace.Span":
    from opentelemetry import trace
    from opentelemetry.context import Context

    assert _tracer is not None  # noqa: S101 - asked by the caller
    context = Context()
    if above is not None:
        ids = int(above.trace_id, 16), int(above.span_id, 16)
        remote = trace.SpanContext(*ids, is_remote=True, trace_flags=trace.TraceFlags(int(above.flags, 16)))
        context = trace.set_span_in_context(trace.NonRecordingSpan(remote), context)
    return _tracer.start_span(name, context=context, kind=trace.SpanKind[kind], record_exception=False)


def _place_of(recorded: "trace.Span") -> Place:
    context = recorded.get_span_context()
    return Place(f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{context.trace_flags:02x}")


def _end(recorded: "trace.Span", own: Span) -> None:
    from opentelemetry.trace import StatusCode

    recorded.update_name(own.name)
    recorded.set_attributes(own.attributes)
    if "error.type" in own.attributes:
        recorded.set_status(StatusCode.ERROR)
    recorded.end()


@contextmanager
def exporting(service: str, settings: TracingSettings) -> Iterator[None]:
    """Export spans while the block is open, where there is an address for them.

    Raises:
        TracingUnavailableError: There is one, and the SDK is not installed.
    """
    if not _asked(settings):
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingUnavailableError("traces need OpenTelemetry: install gallery-runtime[tracing]") from error
    # Not the global provider: whatever library finds one would record spans of its own, addresses and all.
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=settings.traces_url or None, timeout=EXPORT_AT_MOST.total_seconds())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    with recording(provider):
        try:
            yield
        finally:
            # What is left is sent, but a collector that is away must not hold up a stop.
            impatience = Timer(EXPORT_AT_MOST.total_seconds(), exporter.shutdown)
            impatience.start()
            provider.shutdown()
            impatience.cancel()


def _asked(settings: TracingSettings) -> bool:
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not disabled and bool(settings.traces_url or any(os.environ.get(name) for name in _ENDPOINTS))


@contextmanager
def recording(provider: "trace.TracerProvider") -> Iterator[None]:
    """Record spans with a provider while the block is open."""
    global _tracer  # noqa: PLW0603 - spans belong to the process, as its log does
    _tracer = provider.get_tracer("gallery")
    try:
        yield
    finally:
        _tracer = None
