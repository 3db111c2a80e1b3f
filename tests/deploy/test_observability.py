"""Dashboards and alerts ask for what there is: every metric, label and value that they name is in the catalogue."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.promql import PromqlError, Query, Selector, read

from gallery.ml_worker.domain import State as Analysed
from gallery.ml_worker.store import ANALYSE, PEOPLE
from gallery.runtime.children import REASONS
from gallery.runtime.consumer import OUTCOMES
from gallery.runtime.leases import Lane
from gallery.runtime.metrics import CATALOGUE, REGISTRY, Entry, Kind

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/observability"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
GUIDE = (ROOT / "docs/observability.md").read_text()

OF_ALL = {"job", "instance"}
"""Labels that Prometheus itself adds."""
OTHERS = {family.name for family in REGISTRY.collect()} - {name.removesuffix("_total") for name in CATALOGUE} | {"up"}
"""What is told without being ours: the process, and whether it answers."""
VALUES: dict[str, set[str]] = {
    "lane": set(Lane),
    "outcome": set(OUTCOMES),
    "state": {*Analysed, "dead", "parked", "replaying", "used", "idle", "spare"},
    "stage": {ANALYSE, PEOPLE},
    "reason": set(REASONS),
}
"""Of labels that matchers name."""
OVER_TIME = {"rate", "increase"}


def queries() -> Iterator[Any]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield pytest.param(target["expr"], target["legendFormat"], id=f"{path.stem}: {panel['title']}")
    for rule in RULES:
        yield pytest.param(rule["expr"], rule["annotations"]["summary"], id=rule["alert"])


def entry_of(name: str) -> tuple[Entry | None, str]:
    """The entry whose series this is, and the suffix of a histogram's."""
    if name in CATALOGUE:
        return CATALOGUE[name], ""
    base, _, suffix = name.rpartition("_")
    if suffix in {"bucket", "sum", "count"} and base in CATALOGUE:
        return CATALOGUE[base], suffix
    return None, ""


def labels_of(selector: Selector) -> set[str]:
    entry, suffix = entry_of(selector.metric)
    if entry is None:
        assert selector.metric.removesuffix("_total") in OTHERS, f"nobody measures {selector.metric}"
        return OF_ALL
    assert (entry.kind is Kind.HISTOGRAM) is bool(suffix), f"{selector.metric} is a {entry.kind}"
    return {*entry.labels, *OF_ALL, *({"le"} if suffix == "bucket" else ())}


def check_use(selector: Selector) -> None:
    """What grows is looked at over time, and quantiles are taken of buckets."""
    entry, _ = entry_of(selector.metric)
    grows = selector.metric.endswith("_total") if entry is None else entry.kind is not Kind.GAUGE
    assert grows is (selector.function in OVER_TIME), f"{selector.function} of {selector.metric}"
    assert selector.ranged is (selector.function in OVER_TIME | {"min_over_time", "predict_linear"}), selector.metric


def check_values(selector: Selector) -> None:
    for label, operator, value in selector.matchers:
        if label in VALUES:
            named = set(value.split("|")) if "~" in operator else {value}
            assert named <= VALUES[label], f"{label} is never {value}"


def checked(text: str) -> Query:
    query = read(text)
    assert query.selectors
    known = set[str]()
    for selector in query.selectors:
        labels = labels_of(selector)
        assert {label for label, _, _ in selector.matchers} <= labels, selector.metric
        check_use(selector)
        check_values(selector)
        known |= labels
    assert query.groupings <= known
    return query


@pytest.mark.parametrize(("text", "shown"), [*queries()])
def test_a_query_names_what_there_is(text: str, shown: str) -> None:
    query = checked(text)
    if "histogram_quantile" in text:
        assert "le" in query.groupings
    named = set(re.findall(r"{{ ?\$?(?:labels\.)?(\w+)", shown)) - {"value"}
    left = query.groupings or set().union(*(labels_of(selector) for selector in query.selectors))
    assert named <= left, "the text shows labels that the query leaves"


@pytest.mark.parametrize(
    "broken",
    [
        "gallery_made_up_total",
        "sum(rate(gallery_http_requests_total[5m])",
        "rate(gallery_http_requests_total)",
        "gallery_http_requests_total",
        "rate(gallery_stuck_steps[5m])",
        "rate(gallery_search_seconds[5m])",
        "gallery_stuck_steps_bucket",
        'gallery_work_oldest_seconds{lane="interactiv"}',
        'gallery_work_oldest_seconds{line="interactive"}',
        "sum by (photo) (gallery_stuck_steps)",
        "summ(gallery_stuck_steps)",
        "gallery_stuck_steps > ?",
        "gallery_stuck_steps{job=5}",
        "min_over_time(gallery_stuck_steps[soon])",
        "sum(gallery_stuck_steps])",
    ],
)
def test_a_wrong_query_is_seen(broken: str) -> None:
    with pytest.raises((AssertionError, PromqlError)):
        checked(broken)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")
    document, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (ROOT / document).is_file()
    assert anchor == rule["alert"].lower()
    assert f"### {rule['alert']}\n" in GUIDE


def test_every_metric_is_looked_at() -> None:
    selectors = [selector for query in queries() for selector in read(query.values[0]).selectors]
    asked = {entry.name for selector in selectors if (entry := entry_of(selector.metric)[0])}
    assert asked == set(CATALOGUE)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_fits_its_grid(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"] == f"gallery-{path.stem}"
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource"]
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
