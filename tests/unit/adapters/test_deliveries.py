"""However messages are committed, the place never passes over one that is not, and comes to the end at last."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from gallery.adapters.deliveries import Progress


@given(st.lists(st.integers(0, 9), max_size=30), st.lists(st.sets(st.integers(0, 9)), max_size=10))
def test_the_place_is_where_the_first_hole_is(handed_out: list[int], commits: list[set[int]]) -> None:
    progress = Progress[int]()
    for place, number in enumerate(handed_out):
        progress.hand_out(UUID(int=number), place)
    done: set[int] = set()
    reached = -1
    for numbers in [*commits, set(range(10))]:
        done |= numbers
        moved = progress.commit({UUID(int=number) for number in numbers})
        hole = next((place for place, number in enumerate(handed_out) if number not in done), len(handed_out))
        assert moved == (None if hole - 1 == reached else hole - 1)
        reached = hole - 1
    assert not progress.in_flight


def test_what_is_on_its_way_is_not_handed_out_twice() -> None:
    progress = Progress[int]()
    assert progress.hand_out(UUID(int=1), 1)
    assert not progress.hand_out(UUID(int=1), 2)
    assert progress.commit({UUID(int=1)}) == 2
    assert progress.hand_out(UUID(int=1), 3)


def test_nothing_is_committed_for_what_was_never_handed_out() -> None:
    progress = Progress[int]()
    assert progress.commit({UUID(int=1)}) is None
    assert not progress.in_flight
