import importlib
from types import SimpleNamespace

import pytest

from benchmarks import _ledger
from benchmarks._ledger import PLACES, Ledger, _timed


@pytest.fixture
def spend(monkeypatch):
    """Let so many seconds pass on both clocks."""
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], process_time=lambda: now[0])
    monkeypatch.setattr(_ledger, "time", clock)
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def booked(ledger):
    ledger.enter("the end")
    return {part: wall for part, (wall, cpu) in ledger.seconds.items() if wall == cpu and wall}


def test_the_time_of_an_inner_part_is_not_that_of_the_outer(spend):
    ledger = Ledger(0.0)
    spend(1)
    with ledger.part("outer"):
        spend(2)
        with ledger.part("inner"):
            spend(3)
        spend(4)
    assert booked(ledger) == {"imports": 1, "outer": 6, "inner": 3}


def test_a_part_that_fails_is_left(spend):
    ledger = Ledger(0.0)
    with pytest.raises(ZeroDivisionError), ledger.part("failing"):
        spend(2)
        _ = 1 / 0
    spend(5)
    assert booked(ledger) == {"failing": 2, "imports": 5}


def test_of_a_generator_only_its_own_steps_count(spend):
    ledger = Ledger(0.0)

    def numbers():
        for number in range(3):
            spend(10)
            yield number

    found = []
    for number in _timed(ledger, "data", numbers)():
        spend(1)
        found.append(number)
    assert found == [0, 1, 2]
    assert booked(ledger) == {"data": 30, "imports": 3}


@pytest.mark.parametrize("place", [place for places in PLACES.values() for place in places])
def test_what_is_watched_exists(place):
    module, _, path = place.partition(":")
    found = importlib.import_module(f"powerbench.{module}")
    for name in path.removesuffix(".*").split("."):
        found = vars(found)[name]
    assert callable(found)
