"""One trace, whoever is asked, and whether or not anybody records it."""

import asyncio
import http.server
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gallery.runtime import logs, tracing
from gallery.runtime.tracing import Place, SpanKind, TracingSettings, TracingUnavailableError, exporting, span

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
hexadecimal = st.sampled_from("0123456789abcdef")


@pytest.fixture(params=["without the SDK", "recorded"])
def recorded(request: pytest.FixtureRequest) -> Iterator[bool]:
    if request.param == "recorded":
        with tracing.recording(TracerProvider(shutdown_on_exit=False)):
            yield True
    else:
        yield False


@given(st.builds(Place, *(st.text(hexadecimal, min_size=size, max_size=size) for size in (32, 16, 2))))
@example(Place("0" * 32, "1" * 16, "01"))
@example(Place("1" * 32, "0" * 16, "01"))
def test_a_context_is_read_as_it_was_written(place: Place) -> None:
    valid = int(place.trace_id, 16) and int(place.span_id, 16)
    assert tracing.parse(str(place)) == (place if valid else None)


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "00",
        PARENT.upper(),
        f"ff{PARENT[2:]}",
        PARENT[:-1],
        f" {PARENT}",
        f"{PARENT}\n",
        PARENT.replace("-", "_"),
        f"{PARENT}0",
    ],
)
def test_a_broken_context_begins_a_trace(broken: str, *, recorded: bool) -> None:
    assert tracing.parse(broken) is None
    with span("work", parent=broken) as traced:
        assert tracing.parse(str(traced.place)) == traced.place
        assert bool(int(traced.place.flags, 16) & 1) is recorded


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert tracing.parse(f"01{PARENT[2:]}-what-comes-later") == tracing.parse(PARENT)


@pytest.mark.usefixtures("recorded")
def test_spans_stand_below_one_another_and_end() -> None:
    assert tracing.traceparent() == ""
    with span("outer", parent=PARENT, kind=SpanKind.SERVER) as outer:
        assert outer.place.trace_id == PARENT[3:35]
        assert outer.place.span_id != PARENT[36:52]
        with span("inner") as inner:
            assert tracing.traceparent() == str(inner.place)
            assert inner.place.trace_id == outer.place.trace_id
        with pytest.raises(KeyError), span("failing"):
            raise KeyError
        assert tracing.traceparent() == str(outer.place)
    assert tracing.ids() == {}


@pytest.mark.usefixtures("recorded")
async def test_what_goes_on_side_by_side_does_not_mix() -> None:
    async def work(number: int) -> tuple[str, str]:
        with span("work", parent=PARENT.replace("0af7", f"{number:04x}")):
            await asyncio.sleep(0)
            with span("step") as step:
                await asyncio.sleep(0)
                return f"{number:04x}", step.place.trace_id[:4]

    for expected, found in await asyncio.gather(*map(work, range(1, 20))):
        assert found == expected


def test_a_recorded_span_says_what_it_was_and_not_what_the_error_quotes() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def answer() -> None:
        with span("GET", parent=PARENT, kind=SpanKind.SERVER) as traced:
            traced.name = "GET /photos/{photo_id}"
            traced.attributes["http.response.status_code"] = 500
            raise ValueError("Anna Berg's photo")

    with tracing.recording(provider), pytest.raises(ValueError, match="Anna"):
        answer()
    (told,) = exporter.get_finished_spans()
    assert told.parent is not None
    assert told.context is not None
    assert (f"{told.parent.span_id:016x}", f"{told.context.trace_id:032x}") == (PARENT[36:52], PARENT[3:35])
    assert (told.name, told.kind.name, told.status.status_code.name) == ("GET /photos/{photo_id}", "SERVER", "ERROR")
    assert dict(told.attributes or {}) == {"http.response.status_code": 500, "error.type": "ValueError"}
    assert "Anna" not in told.to_json()


def test_logs_say_where_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(json=True)
    try:
        with span("work", parent=PARENT) as traced:
            logs.get_logger("test").info("photo stored")
            logging.getLogger("library").warning("from elsewhere")
        logs.get_logger("test").info("afterwards")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    *inside, after = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert [(line["trace_id"], line["span_id"]) for line in inside] == [(PARENT[3:35], traced.place.span_id)] * 2
    assert "trace_id" not in after


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans as a collector does."""

    taken: list[ExportTraceServiceRequest]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.taken.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        del format, args


def test_spans_go_where_the_setting_says() -> None:
    Collector.taken = []
    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        with exporting("gallery-test", TracingSettings(traces_url=url)), span("work"):
            pass
        server.shutdown()
        thread.join()
    (request,) = Collector.taken
    (resource,) = request.resource_spans
    assert [each.name for scope in resource.scope_spans for each in scope.spans] == ["work"]
    told = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert told["service.name"] == "gallery-test"


def test_a_silent_collector_does_not_hold_up_a_stop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        with exporting("gallery-test", TracingSettings(traces_url=url)):
            for _ in range(2000):
                with span("work"):
                    pass
            began = time.perf_counter()
        assert time.perf_counter() - began < 5


def test_without_an_address_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with exporting("gallery-test", TracingSettings()), span("work") as traced:
        assert traced.place.flags == "00"


def test_an_address_without_the_sdk_is_a_mistake_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(TracingUnavailableError, match="tracing"), exporting("gallery-test", TracingSettings()):
        raise AssertionError("not reached")
