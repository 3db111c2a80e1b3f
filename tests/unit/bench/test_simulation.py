"""The day on paper: nothing is lost, lanes and libraries get their share, and workers come and go as told."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from uuid import UUID, uuid5

import pytest
import simulation
import yaml
from day import DAY, HOUR, Load, arrivals
from fair_queue import BACKFILL, INTERACTIVE, Photo, Queue
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Outcome, Scaling, Simulation, Worker, simulate

from gallery.ml_worker import analysing
from gallery.runtime.database import Database
from gallery.runtime.leases import Job, Lane, WorkQueue
from gallery.runtime.migrations import migrate

ROOT = Path(__file__).resolve().parents[3]

FAST = Worker(rate=10, start_up=0)
ALONE = Scaling(least=1, most=1)

WAITING = {(INTERACTIVE, 1): 200, (INTERACTIVE, 2): 3, (BACKFILL, 3): 200, (BACKFILL, 4): 200}
"""Photos by lane and library."""


def photos(count: int, *, at: float = 0.0, library: int = 1, lane: int = BACKFILL) -> list[Photo]:
    return [Photo(at, library, lane)] * count


def run(*coming: list[Photo], worker: Worker = FAST, scaling: Scaling = ALONE) -> Outcome:
    return Simulation(worker, scaling).run(iter(coming), until=0.0)


@settings(max_examples=25)
@given(
    load=st.builds(Load, libraries=st.integers(0, 20), photos=st.floats(0, 30), backfill=st.integers(0, 3000)),
    worker=st.builds(
        Worker, rate=st.floats(1, 50), start_up=st.floats(0, 600), life=st.sampled_from([math.inf, 600.0])
    ),
    scaling=st.builds(Scaling, least=st.integers(1, 3), most=st.integers(3, 9), photos=st.integers(1, 500)),
    seed=st.integers(0, 99),
)
def test_every_photo_is_done_once_whoever_dies(load: Load, worker: Worker, scaling: Scaling, seed: int) -> None:
    sent = Counter(photo.lane for group in arrivals(load, Random(seed)) for photo in group)
    outcome = simulate(load, worker, scaling, seed=seed)
    assert (len(outcome.waits), outcome.backfill) == (sent[INTERACTIVE], sent[BACKFILL])
    assert sent[BACKFILL] == load.backfill
    assert outcome.most_workers <= scaling.most
    assert outcome.worker_seconds > 0.99 * scaling.least * DAY
    assert all(wait > 0 for wait in outcome.waits)


def test_the_same_seed_is_the_same_day() -> None:
    load, worker = Load(libraries=50, photos=30, backfill=5000), Worker(10, life=HOUR)
    assert simulate(load, worker, Scaling(), seed=7) == simulate(load, worker, Scaling(), seed=7)
    assert simulate(load, worker, Scaling(), seed=7) != simulate(load, worker, Scaling(), seed=8)


def test_people_send_in_the_evening() -> None:
    hours = Counter(int(photo.arrived // HOUR) for (photo,) in arrivals(Load(libraries=1000, photos=30), Random(1)))
    assert sum(hours.values()) == pytest.approx(30_000, rel=0.1)
    assert hours[20] > 5 * hours[4]


def test_a_backfill_takes_as_long_as_its_photos_by_the_rate() -> None:
    assert run(photos(4000)).backfill_done == pytest.approx(400, rel=0.02)
    assert run(photos(4000), worker=Worker(20, start_up=0)).backfill_done == pytest.approx(200, rel=0.02)


def test_who_waits_gets_three_slots_in_four_while_a_backfill_goes_on() -> None:
    outcome = run(photos(2000), photos(300, at=50.0, library=2, lane=INTERACTIVE))
    assert outcome.interactive_done - 50 == pytest.approx(300 / 0.75 / 10, rel=0.1)
    assert outcome.backfill_done == pytest.approx(230, rel=0.03)


def test_a_small_library_is_not_held_up_by_a_large_one() -> None:
    outcome = run(photos(1000, lane=INTERACTIVE), photos(4, at=1.0, library=2, lane=INTERACTIVE))
    assert sorted(outcome.waits)[4] < 3
    assert max(outcome.waits) > 90


def test_what_a_dead_worker_held_comes_again_when_its_lease_is_over() -> None:
    outcome = run(photos(3000), worker=Worker(10, start_up=1.0, life=30.0))
    assert outcome.backfill == 3000
    assert outcome.expired > 0
    assert outcome.backfill_done > 300


def test_workers_come_with_the_backlog_and_go_after_a_while() -> None:
    rules = Scaling(least=1, most=8, photos=100, poll=15, cool_down=300)
    outcome = Simulation(Worker(10, start_up=60), rules).run(iter([photos(20_000)]), until=3 * HOUR)
    assert outcome.most_workers == 8
    busy = 20_000 / 10
    cooling = 8 * rules.cool_down
    assert 3 * HOUR + busy < outcome.worker_seconds + outcome.backfill_done < 3 * HOUR + busy + 2 * cooling + 8 * 60


def test_the_constants_are_those_of_the_role() -> None:
    assert simulation.CLAIM == analysing.BATCH
    assert simulation.AHEAD == analysing.AHEAD
    assert simulation.CLAIM_FROM == analysing.CLAIM_FROM
    assert analysing.LEASE.total_seconds() == simulation.LEASE


def test_workers_are_scaled_as_they_are_deployed() -> None:
    _, deployed = yaml.safe_load_all((ROOT / "deploy/k8s/components/scaling/analyse.yaml").read_text())
    rules = deployed["spec"]
    behaviour = rules["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert Scaling() == Scaling(
        least=rules["minReplicaCount"],
        most=rules["maxReplicaCount"],
        photos=int(rules["triggers"][0]["metadata"]["targetQueryValue"]),
        poll=rules["pollingInterval"],
        cool_down=behaviour["scaleDown"]["stabilizationWindowSeconds"],
    )


def shares(claim: Callable[[], list[tuple[int, int]]], *, claims: int) -> dict[tuple[int, int], float]:
    counted = Counter(key for _ in range(claims) for key in claim())
    return {key: count / claims for key, count in counted.items()}


async def test_the_queue_on_paper_is_as_fair_as_the_table(database_url: str) -> None:
    paper = Queue(Random(1))
    for (lane, library), count in WAITING.items():
        paper.add(photos(count, library=library, lane=lane))
    on_paper = shares(lambda: [(photo.lane, photo.library) for photo in paper.claim(8)], claims=30)

    await migrate(database_url, schema="ml_worker", packages=[])
    async with Database.open(database_url, schema="ml_worker") as database:
        table = WorkQueue(database)
        async with database.transaction() as tx:
            await table.add(
                tx, [job(lane, library, n) for (lane, library), count in WAITING.items() for n in range(count)]
            )
        claimed = [await table.claim(stages=["analyse"], limit=8, lease=analysing.LEASE * 100) for _ in range(30)]
    lanes = {Lane.INTERACTIVE: INTERACTIVE, Lane.BACKFILL: BACKFILL}
    keys = iter([[(lanes[one.job.lane], one.job.library_id.int) for one in claim] for claim in claimed])
    in_table = shares(lambda: next(keys), claims=30)

    assert set(on_paper) == set(in_table)
    for key, share in in_table.items():
        assert on_paper[key] == pytest.approx(share, abs=0.7), key


def job(lane: int, library: int, number: int) -> Job:
    subject = uuid5(UUID(int=library), str(number))
    return Job(UUID(int=library), subject, "analyse", (Lane.INTERACTIVE, Lane.BACKFILL)[lane])
