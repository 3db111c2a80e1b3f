"""The plan is as good as its model, and the document says what the model says."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from capacity import Demand, Load, demand, embedded, grouping_seconds, hosted
from capacity_doc import MARK, SLOW_TABLES, TABLES, written
from costs import read
from hypothesis import given
from hypothesis import strategies as st

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/capacity.md"
COSTS = read()

OF_ONE_LIBRARY = {"grouping_seconds", "grouping_memory"}

loads = st.builds(
    Load,
    libraries=st.integers(1, 20_000),
    arriving=st.floats(0, 5_000),
    groupings=st.floats(0, 10),
    photos=st.integers(0, 300_000),
)


def figures(need: Demand) -> dict[str, float]:
    flat = asdict(need)
    return {**flat.pop("rows"), **flat, "cores": need.cores, "database": need.database}


@given(load=loads, times=st.integers(2, 50))
def test_so_many_times_the_libraries_need_so_many_times_as_much(load: Load, times: int) -> None:
    once, often = (figures(demand(COSTS, replace(load, libraries=load.libraries * n))) for n in (1, times))
    for name, value in once.items():
        expected = value if name in OF_ONE_LIBRARY else value * times
        assert often[name] == pytest.approx(expected), name


@given(load=loads, more=st.sampled_from(["libraries", "arriving", "groupings", "photos"]), times=st.integers(2, 5))
def test_more_of_anything_never_needs_less(load: Load, more: str, times: int) -> None:
    larger = replace(load, **{more: getattr(load, more) * times})
    for profile in (hosted, embedded):
        before, after = profile(COSTS, load), profile(COSTS, larger)
        assert after.machines >= before.machines
        assert after.workers >= before.workers
        assert after.bill.total >= before.bill.total
    less, need = figures(demand(COSTS, load)), figures(demand(COSTS, larger))
    assert all(need[name] >= less[name] for name in need)


@given(load=loads)
def test_what_is_planned_bears_the_busiest_hour(load: Load) -> None:
    need, plan, assumed = demand(COSTS, load), hosted(COSTS, load), COSTS.assumed
    assert plan.machines * assumed.machine_cores * assumed.utilisation >= need.cores * 0.999
    assert plan.machines * assumed.machine_bytes >= plan.memory
    assert plan.workers * assumed.worker_cores * assumed.utilisation >= need.analyse * 0.999
    assert plan.machines_paid <= plan.machines
    assert plan.partitions >= assumed.partitions
    assert plan.installations * assumed.database_bytes >= need.rows.ml_worker


@given(load=loads)
def test_photos_that_lie_there_cost_room_and_no_cores(load: Load) -> None:
    need = demand(COSTS, replace(load, arriving=0, groupings=0))
    assert need.cores == need.facts == need.bus_kept == 0
    assert need.originals == load.libraries * load.photos * COSTS.photo.original_bytes


@given(faces=st.floats(1, 1e6))
def test_a_grouping_of_twice_the_faces_takes_four_times_as_long(faces: float) -> None:
    once, twice = (grouping_seconds(COSTS, faces=n * faces) for n in (1, 2))
    assert twice == pytest.approx(4 * once)


@given(load=loads, times=st.floats(0, 10))
def test_the_bill_follows_the_prices(load: Load, times: float) -> None:
    dearer = replace(COSTS.prices, **{name: times * price for name, price in asdict(COSTS.prices).items()})
    for profile in (hosted, embedded):
        bill = profile(COSTS, load).bill.total
        assert profile(replace(COSTS, prices=dearer), load).bill.total == pytest.approx(times * bill)


def test_cpu_milliseconds_become_cores() -> None:
    load = Load(libraries=1000, arriving=864, groupings=0)  # ten photos a second, were all hours the same
    need = demand(COSTS, load)
    analyse = (COSTS.cpu_ms.models + COSTS.cpu_ms.decoding) / 1000
    assert need.analyse / need.photos_a_second == pytest.approx(analyse)
    assert 10 < need.photos_a_second < 30
    assert hosted(COSTS, load).workers == math.ceil(need.analyse / 2 / COSTS.assumed.utilisation)


def test_the_document_says_what_the_model_says() -> None:
    document = DOCUMENT.read_text()
    assert {found["name"] for found in MARK.finditer(document)} == {*TABLES, *SLOW_TABLES}
    assert written(document, COSTS, tables=TABLES) == document, "run: python bench/capacity_doc.py docs/capacity.md"
