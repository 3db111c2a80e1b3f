"""What a seed tells is carried out as it was told, or a run could not be repeated."""

from itertools import pairwise

from support.faults import GAP_SECONDS, Step, kinds_of_faults, schedule

KINDS = kinds_of_faults(
    processes=["one-0", "one-1", "other-0"],
    engines=["postgres", "kafka"],
    links=["link to s3", "link to kafka"],
    http=["link to s3"],
    disks=["disk of s3"],
)


def test_the_same_seed_tells_the_same() -> None:
    assert schedule(7, 100, KINDS) == schedule(7, 100, KINDS)
    assert schedule(7, 100, KINDS) != schedule(8, 100, KINDS)


def test_a_longer_run_begins_as_a_shorter_one() -> None:
    assert schedule(7, 200, KINDS)[:100] == schedule(7, 100, KINDS)


def test_each_kind_comes_and_strikes_whom_it_can() -> None:
    steps = schedule(7, 100, KINDS)
    assert len(steps) == 100
    assert {step.kind for step in steps} == {kind.name for kind in KINDS}
    victims = {kind.name: kind.victims for kind in KINDS}
    assert all(step.victim in victims[step.kind] for step in steps)


def test_nobody_is_struck_before_the_last_fault_is_over() -> None:
    by_victim: dict[str, list[Step]] = {}
    for step in schedule(7, 300, KINDS):
        by_victim.setdefault(step.victim, []).append(step)
    rests = {kind.name: kind.rest for kind in KINDS}
    for steps in by_victim.values():
        for one, next_one in pairwise(steps):
            assert next_one.at >= one.at + one.lasts + rests[one.kind]


def test_faults_overlap() -> None:
    steps = schedule(7, 100, KINDS)
    assert all(later.at - earlier.at >= GAP_SECONDS[0] for earlier, later in pairwise(steps))
    assert sum(later.at < earlier.at + earlier.lasts for earlier, later in pairwise(steps)) > 30


def test_what_cannot_be_done_is_left_out() -> None:
    kinds = kinds_of_faults(processes=["one-0"], engines=[], links=[], http=[], disks=[])
    assert {step.kind for step in schedule(7, 30, kinds)} == {"kill", "pause", "long pause"}
