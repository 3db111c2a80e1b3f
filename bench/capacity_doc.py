"""Write the tables of docs/capacity.md, or say that they are not the model's any more.

Usage: python bench/capacity_doc.py [--check] docs/capacity.md

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; everything else is written by hand.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from capacity import Demand, Load, Plan, demand, embedded, embedded_rate, hosted, worker_rate
from costs import Costs, read
from day import HOUR
from simulation import Scenario, scenarios, simulate

INTAKES = {"an ordinary day": (30.0, 2.0), "in the holidays": (150.0, 4.0), "moving in": (100_000 / 30, 8.0)}
"""Photos and groupings of each library and day. Photos come in one, two or four sessions; the role groups when nothing
is left to look at, which is after the first photo of a session and again after its last. Moving in takes a month."""

SIZES = (1, 100, 10_000)

HOSTED_ONLY = {"bus, a second", "bus, kept, one copy", "partitions of a topic", "$ a month: bus", "installations"}

MARK = re.compile(r"(?<=<!-- table: )(?P<name>\w+) -->\n.*?(?=<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render a table in Markdown; all columns but the first are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def amount(value: float) -> str:
    """Two figures, or all before the point, in groups of three; what is next to nothing is called so."""
    if value < 0.01:
        return "< 0.01"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def size(value: float) -> str:
    """Bytes in decimal units."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    power = max(each for each in range(len(units)) if each == 0 or value >= 1000**each)
    return f"{amount(value / 1000**power)} {units[power]}"


def photo(costs: Costs) -> str:
    """What one photo costs."""
    cpu, rows, facts = costs.cpu_ms, costs.rows, costs.facts
    computing = cpu.models + cpu.decoding
    return table(
        ["one photo", "costs"],
        [
            ["serving and consuming, in one process", f"{cpu.serving:.0f} CPU ms"],
            ["Postgres", f"{cpu.postgres:.0f} CPU ms"],
            ["analyse: networks and decoding", f"{computing:.0f} CPU ms"],
            ["analyse on a GPU", "not measured"],
            ["people: matching, vectors", f"{cpu.people:.0f} CPU ms"],
            ["original", size(costs.photo.original_bytes)],
            ["preview and thumbnail", size(costs.photo.rendition_bytes)],
            ["rows of upload", size(rows.upload)],
            ["rows of metadata", size(rows.metadata)],
            ["rows of ml-worker", size(rows.ml_worker)],
            ["rows of search", size(rows.search)],
            ["search index in Postgres", size(costs.index_bytes)],
            ["search index in Elasticsearch", "not measured"],
            ["outboxes and inboxes, for seven days", size(facts.row_bytes)],
            ["records on the bus", f"{facts.records:.1f}, together {size(facts.record_bytes)}"],
            ["a face in the vector index, disk", size(costs.vector.disk_bytes)],
            ["a face in the vector index, memory", size(costs.vector.memory_bytes)],
        ],
    )


def stored(costs: Costs) -> str:
    """What the photos that are there take, by size."""
    needs = [demand(costs, Load(count, 0, 0)) for count in SIZES]
    plans = [hosted(costs, Load(count, 0, 0)) for count in SIZES]
    return _compared(
        ["stored", *(f"{count:,} {'libraries' if count > 1 else 'library'}" for count in SIZES)],
        {
            "photos": [f"{each.photos:,.0f}" for each in needs],
            "originals": [size(each.originals) for each in needs],
            "previews and thumbnails": [size(each.renditions) for each in needs],
            "database, one copy": [size(each.database) for each in needs],
            "of that ml-worker": [size(each.rows.ml_worker) for each in needs],
            "search index, one copy": [size(each.index) for each in needs],
            "vectors on disk, one copy": [size(each.vectors) for each in needs],
            "search index and vectors, were all in memory": [size(each.index + each.vector_memory) for each in needs],
            "servers for the largest database": [str(each.installations) for each in plans],
        },
    )


def needed(costs: Costs, count: int) -> str:
    """What a number of libraries needs, by intake."""
    loads = [Load(count, photos, groupings) for photos, groupings in INTAKES.values()]
    profile = embedded if count == 1 else hosted
    pairs = [(demand(costs, load), profile(costs, load)) for load in loads]
    lines: dict[str, Callable[[Demand, Plan], str]] = {
        "photos a second, busiest hour": lambda need, _: amount(need.photos_a_second),
        "cores: serving": lambda need, _: amount(need.serving),
        "cores: Postgres": lambda need, _: amount(need.postgres),
        "cores: analyse": lambda need, _: amount(need.analyse),
        "cores: people": lambda need, _: amount(need.people),
        "GPUs in place of analyse cores": lambda *_: "not measured",
        "memory of one grouping": lambda need, _: size(need.grouping_memory),
        "bus, a second": lambda need, _: size(need.bus_bytes_a_second),
        "bus, kept, one copy": lambda need, _: size(need.bus_kept),
        "partitions of a topic": lambda _, plan: str(plan.partitions),
        "analyse workers": lambda _, plan: f"{plan.workers:,}",
        "installations": lambda _, plan: f"{plan.installations:,}",
        "memory": lambda _, plan: size(plan.memory),
        "machines, busiest hour": lambda _, plan: f"{plan.machines:,}",
        "$ a month: machines": lambda _, plan: f"{plan.bill.compute:,.0f}",
        "$ a month: databases": lambda _, plan: f"{plan.bill.database:,.0f}",
        "$ a month: originals, renditions": lambda _, plan: f"{plan.bill.blobs:,.0f}",
        "$ a month: bus": lambda _, plan: f"{plan.bill.bus:,.0f}",
        "$ a month: indexes": lambda _, plan: f"{plan.bill.indexes:,.0f}",
        "$ a month: together": lambda _, plan: f"{plan.bill.total:,.0f}",
        "$ a month: of each library": lambda _, plan: f"{plan.bill.total / count:,.2f}",
    }
    rows = {
        label: [line(*pair) for pair in pairs] for label, line in lines.items() if count > 1 or label not in HOSTED_ONLY
    }
    return _compared([f"{count:,} {'libraries' if count > 1 else 'library, embedded'}", *INTAKES], rows)


def days(costs: Costs) -> str:
    """The days that were simulated."""
    tried = scenarios(rate=worker_rate(costs), at_home=embedded_rate(costs))
    head = ["day", "p50 s", "p95 s", "p99 s", "backfill, h", "worker-hours", "most workers", "leases run out"]
    return table(head, [_day(scenario) for scenario in tried])


def _day(scenario: Scenario) -> list[str]:
    outcome = simulate(scenario.load, scenario.worker, scenario.scaling)
    backfill = (outcome.backfill_done - scenario.load.begins) / HOUR
    return [
        scenario.name,
        *(f"{outcome.wait(share):.1f}" for share in (0.5, 0.95, 0.99)),
        f"{backfill:.1f}" if scenario.load.backfill else "",
        f"{outcome.worker_seconds / HOUR:.0f}",
        str(outcome.most_workers),
        f"{outcome.expired:,}",
    ]


def _compared(head: Sequence[str], rows: dict[str, list[str]]) -> str:
    return table(head, [[label, *figures] for label, figures in rows.items()])


TABLES: dict[str, Callable[[Costs], str]] = {
    "photo": photo,
    "stored": stored,
    "one": partial(needed, count=1),
    "hundred": partial(needed, count=100),
    "ten_thousand": partial(needed, count=10_000),
}
"""By name; cheap enough for every run of the tests."""

SLOW_TABLES: dict[str, Callable[[Costs], str]] = {"days": days}


def written(document: str, costs: Costs, *, tables: dict[str, Callable[[Costs], str]]) -> str:
    """The document with these tables made anew; others stay."""

    def made(found: re.Match[str]) -> str:
        name = found["name"]
        return f"{name} -->\n{tables[name](costs)}" if name in tables else found[0]

    return MARK.sub(made, document)


def main() -> int:
    """Write or check; returns 1 when the document is another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("document", type=Path)
    options = parser.parse_args()
    before = options.document.read_text()
    after = written(before, read(), tables=TABLES | SLOW_TABLES)
    if options.check:
        if before != after:
            print(f"{options.document} is not what the model says: run bench/capacity_doc.py")
        return int(before != after)
    options.document.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
