"""What can be measured of a running process: a catalogue of metrics, and the page that Prometheus reads.

A name says what is measured and ends with its unit. Labels have few values, such as stages, states and routes: never an
id, a file name or anything else of a library. Each process tells of itself; sums over processes are the reader's.

What grows is counted where it happens. What stands somewhere, such as pending work, is asked for when somebody reads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

SAMPLE_AT_MOST = timedelta(seconds=3)
"""A question that takes longer is left out of the page; Prometheus gives up after ten seconds by default."""


class Unit(StrEnum):
    """What is counted or measured; the last word of a metric's name."""

    BYTES = "bytes"
    CONNECTIONS = "connections"
    DEATHS = "deaths"
    FACTS = "facts"
    FAILURES = "failures"
    JOBS = "jobs"
    LETTERS = "letters"
    MESSAGES = "messages"
    OBJECTS = "objects"
    PHOTOS = "photos"
    REQUESTS = "requests"
    SECONDS = "seconds"
    STEPS = "steps"


class Kind(StrEnum):
    """How values of a metric relate."""

    COUNTER = "counter"
    """Only grows; its name ends with ``_total`` behind the unit."""
    GAUGE = "gauge"
    """Asked for at each reading."""
    HISTOGRAM = "histogram"
    """Read as ``_bucket``, ``_sum`` and ``_count``."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of a metric."""

    name: str
    kind: Kind
    unit: Unit
    description: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric that is asked for."""

    entry: Entry

    def at(self, value: float, *labels: str) -> "Sample":
        """Say where it stands, for values of its labels in their order."""
        return Sample(self, labels, value)


@dataclass(frozen=True, slots=True)
class Sample:
    """Where a gauge stands now."""

    gauge: Gauge
    labels: tuple[str, ...]
    value: float


Sampler = Callable[[], Awaitable[Iterable[Sample]]]
"""Looks where some gauges stand."""

CATALOGUE: dict[str, Entry] = {}
"""Every metric by name."""

REGISTRY = CollectorRegistry()
"""Of the process: all apps in it show the same page."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves this one out
ProcessCollector(registry=REGISTRY)

_samplers: list[Sampler] = []


def _entry(name: str, kind: Kind, unit: Unit, description: str, labels: tuple[str, ...]) -> Entry:
    return CATALOGUE.setdefault(name, Entry(name, kind, unit, description, labels))


def _counter(name: str, unit: Unit, description: str, *labels: str) -> Counter:
    _entry(name, Kind.COUNTER, unit, description, labels)
    return Counter(name, description, labels, registry=REGISTRY)


def _histogram(name: str, unit: Unit, description: str, *labels: str, buckets: Sequence[float]) -> Histogram:
    _entry(name, Kind.HISTOGRAM, unit, description, labels)
    return Histogram(name, description, labels, registry=REGISTRY, buckets=buckets)


def _gauge(name: str, unit: Unit, description: str, *labels: str) -> Gauge:
    return Gauge(_entry(name, Kind.GAUGE, unit, description, labels))


_ANSWERS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds, of what somebody waits for."""
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120)
"""Seconds, of what is computed."""
_DELAYS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 43200)
"""Seconds, of what waits in queues, for half a day at worst."""

# HTTP. Routes are templates; what matches none is "unmatched", and a method that is none of HTTP's is "OTHER".
HTTP_REQUESTS = _counter(
    "gallery_http_requests_total",
    Unit.REQUESTS,
    "Requests answered, by status; aborted when the caller left before.",
    "route",
    "method",
    "status",
)
HTTP_REQUEST_TIME = _histogram(
    "gallery_http_request_seconds",
    Unit.SECONDS,
    "From the head of a request to the end of its answer.",
    "route",
    "method",
    buckets=_ANSWERS,
)
UPLOADED = _counter("gallery_uploaded_bytes_total", Unit.BYTES, "Originals taken in, without those stored already.")

# Facts.
MESSAGES = _counter(
    "gallery_consumer_messages_total",
    Unit.MESSAGES,
    "Messages by what became of them: handled, repeated, skipped; failed is an attempt that is made again; "
    "dead and parked are dead letters.",
    "subscription",
    "outcome",
)
HANDLER_TIME = _histogram(
    "gallery_consumer_handler_seconds",
    Unit.SECONDS,
    "One attempt at one message.",
    "subscription",
    "type",
    buckets=_ANSWERS,
)
MESSAGE_DELAY = _histogram(
    "gallery_consumer_delay_seconds",
    Unit.SECONDS,
    "From the writing of a fact to the end of its handling.",
    "subscription",
    buckets=_DELAYS,
)
CONSUMER_LAG = _gauge(
    "gallery_consumer_oldest_seconds",
    Unit.SECONDS,
    "Age of the oldest message that was read and is not dealt with; 0 when there is none.",
    "subscription",
)
DEAD_LETTERS = _gauge(
    "gallery_dead_letters",
    Unit.LETTERS,
    "Messages given up that nobody has replayed yet.",
    "subscription",
    "state",
)
RELAY_LAG = _gauge(
    "gallery_relay_oldest_seconds",
    Unit.SECONDS,
    "Age of the oldest fact in the outbox that the relay has not published; 0 when there is none.",
    "service",
)
UNPUBLISHED = _gauge(
    "gallery_relay_unpublished_facts", Unit.FACTS, "Rows of the outbox that the relay has not published.", "service"
)

# Work.
WORK_PENDING = _gauge(
    "gallery_work_pending_jobs", Unit.JOBS, "Jobs that are not done, leased ones included.", "stage", "lane"
)
WORK_OLDEST = _gauge(
    "gallery_work_oldest_seconds", Unit.SECONDS, "Since the oldest of these jobs was asked for.", "stage", "lane"
)
LEDGER = _gauge(
    "gallery_ledger_photos",
    Unit.PHOTOS,
    "Photos of all libraries, by where a stage of theirs stands.",
    "stage",
    "state",
)
UPLOAD_TO_SEARCHABLE = _histogram(
    "gallery_upload_to_searchable_seconds",
    Unit.SECONDS,
    "From the upload of a photo until it is found by all that was to be seen in it, reading text aside.",
    buckets=_DELAYS,
)

# Looking at photos.
ANALYSED = _counter("gallery_analysed_photos_total", Unit.PHOTOS, "Analyses that ended, by how.", "state")
PHOTO_STEP_TIME = _histogram(
    "gallery_photo_step_seconds",
    Unit.SECONDS,
    "Of one photo: decode, with all renditions, and keep, which stores what was found.",
    "step",
    buckets=_STEPS,
)
BATCH_FILL = _histogram(
    "gallery_model_batch_photos",
    Unit.PHOTOS,
    "Photos that the models looked at together.",
    buckets=(1, 2, 3, 4, 6, 8, 12, 16, 32),
)
BATCH_TIME = _histogram(
    "gallery_model_batch_seconds",
    Unit.SECONDS,
    "Of one batch: all models, or one of detect, embed, tags.",
    "model",
    buckets=_STEPS,
)
CHILD_DEATHS = _counter(
    "gallery_child_deaths_total",
    Unit.DEATHS,
    "Children that ended during a request, by reason: killed from outside, memory, cpu, exit, timeout.",
    "child",
    "reason",
)

# People and search.
PEOPLE_TIME = _histogram(
    "gallery_people_step_seconds",
    Unit.SECONDS,
    "Of one library: match, a slice of new faces, or group, all faces anew.",
    "step",
    buckets=_DELAYS,
)
INDEX_TIME = _histogram(
    "gallery_index_pass_seconds", Unit.SECONDS, "Indexing one batch of changed photos.", buckets=_STEPS
)
INDEXED = _counter("gallery_indexed_photos_total", Unit.PHOTOS, "Photos in these batches.")
SEARCH_TIME = _histogram("gallery_search_seconds", Unit.SECONDS, "Answering one page of a search.", buckets=_ANSWERS)

# The audit of originals.
AUDITED = _counter(
    "gallery_audited_objects_total",
    Unit.OBJECTS,
    "Originals read back and compared with their checksums, by outcome: well, missing, damaged, changed, unreadable.",
    "outcome",
)
AUDITED_BYTES = _counter("gallery_audited_bytes_total", Unit.BYTES, "Of these originals, as they were taken in.")
FAULTS = _gauge(
    "gallery_faulty_objects",
    Unit.OBJECTS,
    "Originals that were missing, damaged or changed when they were last read, of all libraries.",
    "outcome",
)
AUDIT_AGE = _gauge(
    "gallery_audit_round_seconds",
    Unit.SECONDS,
    "Since the last round of the audit ended, in which every original was read; before the first, since it began.",
)

# The process.
CONNECTIONS = _gauge(
    "gallery_database_connections",
    Unit.CONNECTIONS,
    "Connections of the pool: used, idle, and spare, which may still be made.",
    "schema",
    "state",
)
CONNECTION_WAITS = _gauge(
    "gallery_database_waiting_requests", Unit.REQUESTS, "Who waits for a connection of the pool.", "schema"
)
STUCK = _gauge("gallery_stuck_steps", Unit.STEPS, "Steps that take longer than they may.")
FREE_SPACE = _gauge(
    "gallery_blobs_free_bytes",
    Unit.BYTES,
    "What may still be stored of originals and renditions, where the store says.",
)
SAMPLING_FAILURES = _counter(
    "gallery_sampling_failures_total", Unit.FAILURES, "Gauges that could not be asked for and are missing in a page."
)


@contextmanager
def sampled(sampler: Sampler) -> Iterator[None]:
    """Ask for these gauges at each reading while the block is open."""
    _samplers.append(sampler)
    try:
        yield
    finally:
        _samplers.remove(sampler)


async def page() -> bytes:
    """Everything, in Prometheus' text format 0.0.4; what cannot be asked for now is left out."""
    found = await asyncio.gather(*(_ask(sampler) for sampler in _samplers))
    return generate_latest(_Page(sample for samples in found for sample in samples))


async def _ask(sampler: Sampler) -> Iterable[Sample]:
    try:
        async with asyncio.timeout(SAMPLE_AT_MOST.total_seconds()):
            return await sampler()
    except Exception:  # noqa: BLE001 - a page without these is better than none; that it fails is on it, too
        SAMPLING_FAILURES.inc()
        return ()


class _Page(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._rows: dict[Gauge, dict[tuple[str, ...], float]] = {}
        for sample in samples:
            self._rows.setdefault(sample.gauge, {})[sample.labels] = sample.value

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()
        for gauge, values in self._rows.items():
            entry = gauge.entry
            family = GaugeMetricFamily(entry.name, entry.description, labels=entry.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family
