"""The catalogue of metrics, and the page that is made of it."""

import ast
import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import Counter, Histogram
from support.measured import Growth, page

from gallery.runtime import metrics
from gallery.runtime.metrics import CATALOGUE, Entry, Gauge, Kind, Sample

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [path for folder in ("libs", "services", "standalone") for path in (ROOT / folder).glob("**/src/**/*.py")]
FEW = {
    "child",
    "lane",
    "method",
    "model",
    "outcome",
    "reason",
    "route",
    "schema",
    "service",
    "stage",
    "state",
    "status",
    "step",
    "subscription",
    "type",
}
"""Labels whose values the code lists; whoever adds one says here that there is an end of them."""


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_a_name_ends_with_its_unit(entry: Entry) -> None:
    assert re.fullmatch("gallery(_[a-z]+)+", entry.name)
    counted = entry.name.removesuffix("_total")
    assert counted.endswith(f"_{entry.unit}")
    assert (counted != entry.name) is (entry.kind is Kind.COUNTER)
    assert entry.description.endswith(".")


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_labels_have_few_values(entry: Entry) -> None:
    assert set(entry.labels) <= FEW


def constants() -> dict[str, Entry]:
    """The metrics of the module by the names that the code uses."""
    found = {}
    for constant, value in vars(metrics).items():
        if isinstance(value, Gauge):
            found[constant] = value.entry
        elif isinstance(value, Counter | Histogram):
            (family,) = value.describe()
            found[constant] = CATALOGUE[family.name + ("_total" if family.type == "counter" else "")]
    return found


def uses() -> Iterator[tuple[str, int | None]]:
    """Constant and number of labels of every measurement in the code; None where they are unpacked."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=method, value=ast.Attribute(value=ast.Name("metrics"), attr=constant))
                ):
                    unpacked = any(isinstance(argument, ast.Starred) for argument in node.args)
                    labels = len(node.args) - (method == "at") if method in {"labels", "at"} else 0
                    yield constant, None if unpacked else labels


def test_every_measurement_names_all_labels_and_every_metric_is_measured() -> None:
    entries = constants()
    assert {entry.name for entry in entries.values()} == set(CATALOGUE)
    measured = {(constant, labels) for constant, labels in uses() if constant in entries}
    for constant, labels in measured:
        assert labels in {None, len(entries[constant].labels)}, constant
    assert {constant for constant, _ in measured} | {"SAMPLING_FAILURES"} == set(entries)


async def test_the_page_is_what_prometheus_reads() -> None:
    async with Growth() as growth:
        metrics.MESSAGES.labels("tests", "handled").inc()
        metrics.BATCH_FILL.observe(3)
        assert await growth.of("gallery_consumer_messages_total", subscription="tests", outcome="handled") == 1
        assert await growth.of("gallery_model_batch_photos_sum") == 3
        assert await growth.of("gallery_model_batch_photos_bucket", le="2.0") == 0
        assert await growth.of("gallery_model_batch_photos_bucket", le="3.0") == 1
    assert "process_resident_memory_bytes" in (await page()).names


async def test_gauges_are_asked_for_while_somebody_answers_for_them() -> None:
    async def sampler() -> list[Sample]:
        return [metrics.WORK_PENDING.at(7, "tests", "backfill")]

    asked = {"stage": "tests", "lane": "backfill"}
    with metrics.sampled(sampler):
        assert (await page()).value("gallery_work_pending_jobs", **asked) == 7
    assert (await page()).value("gallery_work_pending_jobs", **asked) is None


async def test_what_cannot_be_asked_for_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SAMPLE_AT_MOST", timedelta(milliseconds=10))

    async def broken() -> list[Sample]:
        raise ConnectionError

    async def slow() -> list[Sample]:
        await asyncio.Event().wait()
        return []

    async def good() -> list[Sample]:
        return [metrics.UNPUBLISHED.at(3, "tests")]

    async with Growth() as growth:
        with metrics.sampled(broken), metrics.sampled(slow), metrics.sampled(good):
            assert await growth.of("gallery_relay_unpublished_facts", service="tests") == 3
        assert await growth.of("gallery_sampling_failures_total") == 2
